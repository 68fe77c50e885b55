"""Replacing text in a file: exact first, then tolerant of whitespace, never by guess.

All replacements of one request are made on the text in memory and written at once, or none
is. A match that is not unique is refused with its count.
"""

from __future__ import annotations

import json

from sandbox_image.toolserver.arguments import Arguments
from sandbox_image.toolserver.digests import content_hash
from sandbox_image.toolserver.errors import ToolFailure
from sandbox_image.toolserver.files import (
    MAX_READ_BYTES,
    decode_text,
    read_whole,
    write_whole,
)
from sandbox_image.toolserver.roots import Root

MAX_EDITS = 200
"""Replacements of one request."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Edit:
    """One replacement."""

    __slots__ = ("new", "old", "replace_all")

    def __init__(self, old: str, new: str, replace_all: bool) -> None:
        """Replace `old` by `new`, once or everywhere."""
        self.old = old
        self.new = new
        self.replace_all = replace_all


def parse_edits(payload: bytes) -> list[Edit]:
    """Parse the payload of an edit: a JSON list of `{old, new, replace_all?}`."""
    try:
        values = json.loads(payload.decode("utf-8"))
    except (ValueError, RecursionError):
        raise ToolFailure("invalid_argument", "the payload is not a JSON list of edits") from None
    parsed: list[Edit] = []
    for item in Arguments({"edits": values}).object_list("edits", MAX_EDITS):
        item.refuse_unknown(frozenset(("old", "new", "replace_all")))
        edit = Edit(item.text("old"), item.text("new"), item.flag("replace_all"))
        if not edit.old:
            raise ToolFailure("invalid_argument", "`old` must not be empty")
        if edit.old == edit.new:
            raise ToolFailure("invalid_argument", "`old` and `new` are the same")
        parsed.append(edit)
    return parsed


def edit_file(
    root: Root, path: str, wanted: list[Edit], expected_hash: str | None
) -> dict[str, object]:
    """Apply all edits in order and write the file; raises `no_match`, `ambiguous`, `changed`."""
    data = read_whole(root, path)
    present = content_hash(data)
    if expected_hash is not None and present != expected_hash:
        raise ToolFailure("changed", f"{path}: changed since it was read; read it again")
    changed, result = _revise(data, path, wanted)
    write_whole(root, path, changed, present)
    return {**result, "hash": content_hash(changed)}


def preview_edits(root: Root, path: str, wanted: list[Edit]) -> tuple[dict[str, object], bytes]:
    """What the edits would make of the file: its content now, then its content afterwards."""
    data = read_whole(root, path)
    changed, result = _revise(data, path, wanted)
    if len(data) + len(changed) > MAX_READ_BYTES:
        raise ToolFailure("too_large", f"{path}: too large for a preview")
    return {**result, "present_bytes": len(data)}, data + changed


def _revise(data: bytes, path: str, wanted: list[Edit]) -> tuple[bytes, dict[str, object]]:
    """Apply all edits in order to a file's content."""
    text = decode_text(data, path)
    windows = text.count("\r\n") * 2 > text.count("\n")
    if windows:
        text = text.replace("\r\n", "\n")
    total = 0
    kinds: list[object] = []
    for number, edit in enumerate(wanted, 1):
        text, count, kind = _apply(text, edit, path, number if len(wanted) > 1 else 0)
        total += count
        kinds.append(kind)
    if windows:
        text = text.replace("\n", "\r\n")
    changed = text.encode("utf-8", "surrogatepass")
    return changed, {"replacements": total, "matches": kinds, "size": len(changed)}


def _apply(text: str, edit: Edit, path: str, number: int) -> tuple[str, int, str]:
    """Apply one edit; returns the text, the count and how it matched."""
    old, new = edit.old.replace("\r\n", "\n"), edit.new.replace("\r\n", "\n")
    where = f"{path}: edit {number}" if number else path
    count = text.count(old)
    if count:
        _refuse_ambiguous(count, edit, where)
        return text.replace(old, new), count, "exact"
    for kind, normal in _TOLERANCES:
        found = _windows(text, old, normal)
        if found:
            _refuse_ambiguous(len(found), edit, where)
            return _replace_windows(text, found, old, new), len(found), kind
    raise ToolFailure("no_match", f"{where}: the text to replace was not found")


def _refuse_ambiguous(count: int, edit: Edit, where: str) -> None:
    if count > 1 and not edit.replace_all:
        raise ToolFailure(
            "ambiguous",
            f"{where}: the text to replace occurs {count} times; add context or replace all",
            {"count": count},
        )


def _collapse(line: str) -> str:
    return " ".join(line.split())


_TOLERANCES: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("trailing_whitespace", str.rstrip),
    ("indentation", str.strip),
    ("whitespace", _collapse),
)
"""How lines are compared, from strict to lenient; the first that finds anything counts."""


def _windows(text: str, old: str, normal: Callable[[str], str]) -> list[tuple[int, int]]:
    """Line ranges, not overlapping, whose lines equal those of `old` once made `normal`."""
    lines = [normal(line) for line in text.split("\n")]
    wanted = [normal(line) for line in old.strip("\n").split("\n")]
    if not any(wanted):
        return []
    found: list[tuple[int, int]] = []
    index, size = 0, len(wanted)
    while index + size <= len(lines):
        if lines[index] == wanted[0] and lines[index : index + size] == wanted:
            found.append((index, index + size))
            index += size
        else:
            index += 1
    return found


def _replace_windows(text: str, found: list[tuple[int, int]], old: str, new: str) -> str:
    lines = text.split("\n")
    old_lines, new_lines = old.strip("\n").split("\n"), new.strip("\n").split("\n")
    for start, end in reversed(found):
        lines[start:end] = _reindent(lines[start:end], old_lines, new_lines) if new else []
    return "\n".join(lines)


def _indentation(lines: list[str]) -> str:
    for line in lines:
        if line.strip():
            return line[: len(line) - len(line.lstrip())]
    return ""


def _reindent(present: list[str], old: list[str], new: list[str]) -> list[str]:
    """Move the replacement by the difference between the file's indentation and the request's."""
    there, here = _indentation(present), _indentation(old)
    if there == here:
        return new
    moved: list[str] = []
    for line in new:
        if not line.strip():
            moved.append(line)
        elif line.startswith(here):
            moved.append(there + line[len(here) :])
        else:
            moved.append(there[: len(there) - len(here)] + line if len(there) > len(here) else line)
    return moved
