"""A project's own tools on the wire: their files, their texts, what they declare.

Owns the strict reading of what a sandbox says of them. Refuses to trust any of it: bytes are
hashed and declarations are checked by whoever asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from orchestrator.domain.project_tools import MAX_TOOL_BYTES, MAX_TOOLS
from orchestrator.sandboxes import results
from orchestrator.sandboxes.replies import Reply

MAX_NAME_CHARACTERS: Final = 80
"""Characters of a file's name that a sandbox may tell."""

_FAULTS: Final = {
    "too_large": f"it exceeds {MAX_TOOL_BYTES // 1024} KiB",
    "not_regular": "it is a link or no regular file",
    "permission_denied": "it cannot be read by the project's owner",
}


class ToolFile(NamedTuple):
    """One file in the directory of tools."""

    name: str
    """Without the ending; hostile text."""
    content: bytes | None
    """None when it could not be read as a tool's."""
    fault: str | None
    """What is wrong with the file, None when there is `content`."""


class Described(NamedTuple):
    """What a tool's text declares."""

    declaration: Any
    """JSON; hostile. None when reading it failed."""
    fault: str | None
    """Why reading it failed; hostile text. None when it did not."""


@dataclass(frozen=True)
class ToolSources:
    """Texts of tools that a script may use; who made this knows that the user trusts them."""

    texts: Mapping[str, bytes] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    """Tools that a script may not use, and why, for its error message."""

    @property
    def arguments(self) -> dict[str, Any]:
        """What a request says of them; nothing when there are none."""
        told: dict[str, Any] = {}
        if self.texts:
            told["tools"] = [[name, len(text)] for name, text in self.texts.items()]
        if self.refused:
            told["refused"] = dict(self.refused)
        return told

    @property
    def payload(self) -> bytes:
        """Their bytes, behind whatever else a request carries."""
        return b"".join(self.texts.values())


NO_TOOLS: Final = ToolSources()
"""What most projects have."""


def parse_files(reply: Reply) -> list[ToolFile]:
    """Read the answer to `tool_files`; raises `ChannelProtocolError`."""
    listed = reply.result.get("files")
    if not isinstance(listed, list) or len(listed) > MAX_TOOLS:
        raise results.wrong()
    files: list[ToolFile] = []
    position = 0
    for row in listed:
        if not isinstance(row, dict):
            raise results.wrong()
        name = results.text(row, "name")[:MAX_NAME_CHARACTERS]
        if "error" in row:
            files.append(ToolFile(name, None, _FAULTS.get(str(row["error"]), "it cannot be read")))
            continue
        length = results.integer(row, "bytes")
        content = reply.payload[position : position + length]
        position += length
        if not 0 <= length <= MAX_TOOL_BYTES or len(content) != length:
            raise results.wrong()
        files.append(ToolFile(name, content, None))
    left_out = results.integer(reply.result, "left_out")
    if left_out > 0:
        files.append(ToolFile("…", None, f"a project has at most {MAX_TOOLS} tools"))
    return files


def parse_descriptions(reply: Reply, sources: Mapping[str, bytes]) -> dict[str, Described]:
    """Read the answer to `tool_describe`, a row for each source; raises `ChannelProtocolError`."""
    rows = results.json_rows(reply)
    if [row.get("name") for row in rows] != list(sources):
        raise results.wrong()
    described: dict[str, Described] = {}
    for row in rows:
        error = row.get("error")
        if error is None:
            described[row["name"]] = Described(row.get("declaration"), None)
        elif isinstance(error, dict):
            message = str(error.get("message") or "reading it failed")
            described[row["name"]] = Described(None, message[:500])
        else:
            raise results.wrong()
    return described
