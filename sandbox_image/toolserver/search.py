"""Finding files and text, bounded in time, hits and bytes.

ripgrep does the work where it is installed; otherwise git lists and grep searches. Regular
expressions never run inside this process, where one could hold everything else up.
"""

from __future__ import annotations

import os
import stat
import time
from contextlib import suppress

from sandbox_image.toolserver.commands import Command
from sandbox_image.toolserver.errors import ToolFailure
from sandbox_image.toolserver.files import open_regular
from sandbox_image.toolserver.patterns import compile_glob
from sandbox_image.toolserver.requests import Request
from sandbox_image.toolserver.roots import Directory, Root
from sandbox_image.toolserver.services import Services

DEFAULT_HITS = 100
"""Hits of a search that names no limit."""

MAX_HITS = 1000
"""Hits one text search may ask for."""

MAX_PATHS = 10_000
"""Paths one file search may ask for."""

MAX_LINE_CHARACTERS = 500
"""Characters kept of a matching line."""

MAX_CANDIDATES = 300_000
"""Files looked at by one file search."""

SEARCH_TIMEOUT_S = 20.0
"""Seconds a search may take."""

GREP_ARGUMENTS = "pattern path glob ignore_case fixed limit context"

_SKIPPED = (".git", ".jido_code")
_MAX_GREP_BYTES = 8 * 1024 * 1024
_BATCH = 500
_NO_MATCH = 1

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class _Enough(Exception):
    """The search has found as much as it may return."""


class _Records:
    """Splits a program's output into records while it arrives; stops it at a limit."""

    def __init__(self, separator: bytes, limit: int, max_bytes: int) -> None:
        self.records: list[bytes] = []
        self.cut = False
        self.complaints = b""
        self._separator = separator
        self._limit = limit
        self._left = max_bytes
        self._rest = b""

    def take(self, stream: str, data: bytes) -> None:
        if stream == "stderr":
            self.complaints = (self.complaints + data)[:4096]
            return
        parts = (self._rest + data).split(self._separator)
        self._rest = parts.pop()[:65536]
        self.records += parts
        self._left -= len(data)
        if len(self.records) > self._limit or self._left <= 0:
            del self.records[self._limit :]
            self.cut = True
            raise _Enough


def _run(
    services: Services,
    request: Request,
    words: list[str],
    directory: Directory,
    found: _Records,
    stdin: int = -1,
) -> int:
    """Run a search program; returns its exit code, 0 when it was stopped at a limit."""
    command = Command(words, services.environment, directory, stdin)
    request.on_cancel(lambda: command.stop("cancelled"))
    try:
        return command.run(None, request.bounded(SEARCH_TIMEOUT_S), found.take)
    except _Enough:
        return 0
    except ToolFailure as failure:
        if failure.code != "timeout" or not found.records:
            raise
        found.cut = True
        return 0


def _list_files(
    services: Services, request: Request, directory: Directory
) -> tuple[list[str], bool]:
    """Files beneath a directory, relative to it, without what the project ignores."""
    found = _Records(b"\0", MAX_CANDIDATES, MAX_CANDIDATES * 256)
    if services.ripgrep is not None:
        words = [services.ripgrep, "--files", *_RIPGREP]
    else:
        words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    code = _run(services, request, words, directory, found)
    if services.ripgrep is None and code not in (0, _NO_MATCH):
        return _walk(services.root, request, directory)
    names = [os.fsdecode(record) for record in found.records]
    if services.ripgrep is None:
        # Git also lists what it tracks below a directory that is a link by now.
        names = [name for name in names if not _skipped(name)]
    return names, found.cut


def _skipped(name: str) -> bool:
    return any(part in _SKIPPED for part in name.split("/"))


_RIPGREP = (
    "--null",
    "--hidden",
    "--no-messages",
    "--no-config",
    "--no-require-git",
    "--no-ignore-global",
    "--color=never",
    *(f"--glob=!{name}" for name in _SKIPPED),
)


def _walk(root: Root, request: Request, directory: Directory) -> tuple[list[str], bool]:
    """List files without help; knows no ignore rules."""
    found: list[str] = []
    deadline = time.monotonic() + (request.bounded(SEARCH_TIMEOUT_S) or 0)
    handle = root.handle if directory.handle < 0 else directory.handle
    for base, names, files, _ in os.fwalk(".", dir_fd=handle):
        names[:] = [name for name in names if name not in _SKIPPED]
        found += [os.path.join(base, name)[2:] for name in files]
        if request.cancelled:
            raise ToolFailure("cancelled", "the search was cancelled")
        if len(found) >= MAX_CANDIDATES or time.monotonic() > deadline:
            return found[:MAX_CANDIDATES], True
    return found, False


def _describe(
    root: Root, directory: Directory, names: list[str]
) -> Iterator[tuple[str, os.stat_result]]:
    """Status of each name below `directory`, reached without following any link."""
    by_parent: dict[str, list[str]] = {}
    for name in names:
        by_parent.setdefault(os.path.dirname(name), []).append(name)
    for parent, children in by_parent.items():
        expected = os.path.join(directory.path, parent) if parent else directory.path
        try:
            with root.directory(expected) as opened:
                if opened.path != expected:
                    continue
                handle = root.handle if opened.handle < 0 else opened.handle
                for name in children:
                    with suppress(OSError):
                        base = os.path.basename(name)
                        yield name, os.stat(base, dir_fd=handle, follow_symlinks=False)
        except (ToolFailure, OSError):
            # It is gone, or leads elsewhere by now.
            continue


def glob_files(
    services: Services, request: Request, pattern: str, path: str, limit: int
) -> tuple[list[dict[str, object]], bool]:
    """Files matching a glob, newest first, and whether more were left out."""
    expression = compile_glob(pattern)
    with services.root.directory(path) as directory:
        candidates, cut = _list_files(services, request, directory)
        prefix = _prefix(services, directory)
        found: list[tuple[int, str, int]] = []
        matching = [name for name in candidates if expression.match(name)]
        for name, status in _describe(services.root, directory, matching):
            size = status.st_size if stat.S_ISREG(status.st_mode) else 0
            found.append((-status.st_mtime_ns, prefix + name, size))
    found.sort()
    rows: list[dict[str, object]] = [
        {"path": name, "size": size, "mtime_ns": -age} for age, name, size in found[:limit]
    ]
    return rows, cut or len(found) > limit


def _prefix(services: Services, directory: Directory) -> str:
    """What makes a path found in `directory` relative to the project."""
    root = services.root.path
    return "" if directory.path == root else directory.path[len(root) + 1 :] + "/"


def find_files(
    services: Services, request: Request, query: str, limit: int
) -> tuple[list[str], bool]:
    """File names that contain the letters of `query` in order, best first."""
    wanted = query.lower().replace(" ", "")
    if len(wanted) > 200:
        raise ToolFailure("invalid_argument", "the query is too long")
    root = Directory(services.root.path)
    candidates, cut = _list_files(services, request, root)
    ranked = sorted(
        (score, len(name), name)
        for name in candidates
        if (score := _score(name, wanted)) is not None
    )
    return [name for _, _, name in ranked[:limit]], cut or len(ranked) > limit


def _score(path: str, wanted: str) -> int | None:
    """Rank one path; lower is better, None is no match."""
    low = path.lower()
    name = low[low.rfind("/") + 1 :]
    if name.startswith(wanted):
        return 0 if name == wanted else 1
    if wanted in name:
        return 2
    if wanted in low:
        return 3
    first = position = -1
    for letter in wanted:
        position = low.find(letter, position + 1)
        if position < 0:
            return None
        first = position if first < 0 else first
    return 4 + position - first - len(wanted)


def grep(services: Services, request: Request) -> tuple[list[dict[str, object]], bool]:
    """Lines that match a regular expression, by path and line, and whether more were left out."""
    arguments = request.arguments
    pattern = arguments.text("pattern")
    if not pattern or "\0" in pattern or "\n" in pattern:
        raise ToolFailure("invalid_argument", "the pattern is empty or has NUL or a line feed")
    limit = arguments.integer("limit", DEFAULT_HITS, 1, MAX_HITS)
    found = _Records(b"\n", limit * (1 + 2 * _context(request)), _MAX_GREP_BYTES)
    path = arguments.text("path", ".")
    if (file := _open_file(services.root, path)) is not None:
        with file:
            _grep_file(services, request, pattern, file.handle, found)
        rows = _hits(found, "", file.path[len(services.root.path) + 1 :])
    else:
        with services.root.directory(path) as directory:
            if services.ripgrep is not None:
                words = [*_ripgrep_words(services.ripgrep, request), "--regexp", pattern]
                _search(services, request, [*words, "--", "./"], directory, found)
            else:
                _grep_batches(services, request, pattern, directory, found)
            rows = _hits(found, _prefix(services, directory), None)
    rows.sort(key=lambda row: (str(row["path"]), int(str(row["line"]))))
    return rows, found.cut


def _context(request: Request) -> int:
    return request.arguments.integer("context", 0, 0, 10)


def _open_file(root: Root, path: str) -> Directory | None:
    """Open what is to be searched when it is one file; None for a directory."""
    with root.locate(path) as place:
        if stat.S_ISDIR(place.stat().st_mode):
            return None
        handle, _ = open_regular(place, path)
        return Directory(place.path, handle)


def _grep_file(
    services: Services, request: Request, pattern: str, handle: int, found: _Records
) -> None:
    """Search one open file as standard input: its name may lead elsewhere by now."""
    if services.ripgrep is not None:
        words = [*_ripgrep_words(services.ripgrep, request), "--regexp", pattern]
    else:
        words = [*_grep_words(request), "-e", pattern]
    root = Directory(services.root.path)
    _search(services, request, [*words, "--", "-"], root, found, handle)


def _ripgrep_words(program: str, request: Request) -> list[str]:
    arguments = request.arguments
    words = [program, *_RIPGREP, "--line-number", "--no-heading", "--with-filename"]
    words += [f"--max-columns={MAX_LINE_CHARACTERS * 4}", "--max-columns-preview"]
    words += ["--ignore-case"] if arguments.flag("ignore_case") else []
    words += ["--fixed-strings"] if arguments.flag("fixed") else []
    words += [f"--context={_context(request)}"] if _context(request) else []
    glob = arguments.optional_text("glob")
    # A type filters without switching the ignore rules off, as a glob would.
    words += [f"--glob={glob}"] if glob and "/" in glob else []
    words += [f"--type-add=wanted:{glob}", "--type=wanted"] if glob and "/" not in glob else []
    return words


def _search(
    services: Services,
    request: Request,
    words: list[str],
    directory: Directory,
    found: _Records,
    stdin: int = -1,
) -> None:
    code = _run(services, request, words, directory, found, stdin)
    complaint = found.complaints.decode("utf-8", "replace").strip()
    # Without a complaint it is only that some file could not be read.
    if code not in (0, _NO_MATCH) and complaint and not found.records:
        raise ToolFailure("invalid_argument", f"the search failed: {complaint[:500] or code}")


def _grep_words(request: Request) -> list[str]:
    arguments = request.arguments
    words = ["grep", "-nHIZs", "-F" if arguments.flag("fixed") else "-E"]
    words += ["-i"] if arguments.flag("ignore_case") else []
    return [*words, f"-C{_context(request)}"] if _context(request) else words


def _grep_batches(
    services: Services, request: Request, pattern: str, directory: Directory, found: _Records
) -> None:
    """Search with grep, over the files that are not ignored."""
    words = _grep_words(request)
    glob = request.arguments.optional_text("glob")
    for batch in _batches(_targets(services, request, directory, glob)):
        _search(services, request, [*words, "-e", pattern, "--", *batch], directory, found)
        if found.cut:
            return


def _targets(
    services: Services, request: Request, directory: Directory, glob: str | None
) -> list[str]:
    candidates, _ = _list_files(services, request, directory)
    expression = compile_glob(glob) if glob else None
    wanted = [name for name in candidates if expression is None or expression.match(name)]
    return [
        "./" + name
        for name, status in _describe(services.root, directory, wanted)
        if stat.S_ISREG(status.st_mode)
    ]


def _batches(names: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(names), _BATCH):
        yield names[start : start + _BATCH]


def _hits(found: _Records, prefix: str, name: str | None) -> list[dict[str, object]]:
    """Parse what was found; all of it is in the file `name`, unless that is None."""
    rows = []
    whole = True
    for record in found.records:
        row = _parse_hit(record, prefix) if whole else None
        # What has no NUL and separates no groups is the beginning of a name with a line feed.
        whole = b"\0" in record or record == b"--"
        if row is not None:
            rows.append({**row, "path": name} if name is not None else row)
    return rows


def _parse_hit(record: bytes, prefix: str) -> dict[str, object] | None:
    """Parse `path NUL line (: or -) text`; None for a separator between groups."""
    path, nul, rest = record.partition(b"\0")
    digits = len(rest) - len(rest.lstrip(b"0123456789"))
    if not nul or not digits:
        return None
    text = rest[digits + 1 :].decode("utf-8", "replace")
    name = os.fsdecode(path)
    row: dict[str, object] = {
        "path": prefix + (name[2:] if name.startswith("./") else name),
        "line": int(rest[:digits]),
        "text": text[:MAX_LINE_CHARACTERS],
    }
    if rest[digits : digits + 1] == b"-":
        row["context"] = True
    return row
