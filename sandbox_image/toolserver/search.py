"""Finding files and text, bounded in time, hits and bytes.

ripgrep does the work where it is installed; otherwise git lists and grep searches. Regular
expressions never run inside this process, where one could hold everything else up.
"""

from __future__ import annotations

import os
import stat

from sandbox_image.toolserver.commands import Command
from sandbox_image.toolserver.errors import ToolFailure
from sandbox_image.toolserver.patterns import compile_glob
from sandbox_image.toolserver.requests import Request
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
    services: Services, request: Request, words: list[str], directory: str, found: _Records
) -> int:
    """Run a search program; returns its exit code, 0 when it was stopped at a limit."""
    command = Command(words, services.environment, directory)
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


def _list_files(services: Services, request: Request, directory: str) -> tuple[list[str], bool]:
    """Files beneath a directory, relative to it, without what the project ignores."""
    found = _Records(b"\0", MAX_CANDIDATES, MAX_CANDIDATES * 256)
    if services.ripgrep is not None:
        words = [services.ripgrep, "--files", *_RIPGREP]
    else:
        words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    code = _run(services, request, words, directory, found)
    if services.ripgrep is None and code not in (0, _NO_MATCH):
        return _walk(directory)
    return [os.fsdecode(record) for record in found.records], found.cut


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


def _walk(directory: str) -> tuple[list[str], bool]:
    """List files without help; knows no ignore rules."""
    found: list[str] = []
    for base, names, files in os.walk(directory):
        names[:] = [name for name in names if name not in _SKIPPED]
        for name in files:
            found.append(os.path.relpath(os.path.join(base, name), directory))
            if len(found) >= MAX_CANDIDATES:
                return found, True
    return found, False


def glob_files(
    services: Services, request: Request, pattern: str, path: str, limit: int
) -> tuple[list[dict[str, object]], bool]:
    """Files matching a glob, newest first, and whether more were left out."""
    expression = compile_glob(pattern)
    directory = services.working_directory(path)
    candidates, cut = _list_files(services, request, directory)
    prefix = _prefix(services, directory)
    found: list[tuple[int, str, int]] = []
    for name in candidates:
        if expression.match(name):
            try:
                status = os.lstat(os.path.join(directory, name))
            except OSError:
                continue
            size = status.st_size if stat.S_ISREG(status.st_mode) else 0
            found.append((-status.st_mtime_ns, prefix + name, size))
    found.sort()
    rows: list[dict[str, object]] = [
        {"path": name, "size": size, "mtime_ns": -age} for age, name, size in found[:limit]
    ]
    return rows, cut or len(found) > limit


def _prefix(services: Services, directory: str) -> str:
    """What makes a path found in `directory` relative to the project."""
    return "" if directory == services.root.path else directory[len(services.root.path) + 1 :] + "/"


def find_files(
    services: Services, request: Request, query: str, limit: int
) -> tuple[list[str], bool]:
    """File names that contain the letters of `query` in order, best first."""
    wanted = query.lower().replace(" ", "")
    if len(wanted) > 200:
        raise ToolFailure("invalid_argument", "the query is too long")
    candidates, cut = _list_files(services, request, services.root.path)
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
    directory, target = _grep_start(services, arguments.text("path", "."))
    if services.ripgrep is not None:
        words = _ripgrep_words(services.ripgrep, request, pattern)
        _search(services, request, [*words, "--", target], directory, found)
    else:
        _grep_batches(services, request, pattern, directory, target, found)
    prefix = _prefix(services, directory)
    rows = [row for record in found.records if (row := _parse_hit(record, prefix)) is not None]
    rows.sort(key=lambda row: (str(row["path"]), int(str(row["line"]))))
    return rows, found.cut


def _context(request: Request) -> int:
    return request.arguments.integer("context", 0, 0, 10)


def _grep_start(services: Services, path: str) -> tuple[str, str]:
    """The directory to search in, and what in it: everything, or one file."""
    with services.root.locate(path) as place:
        if stat.S_ISDIR(place.stat().st_mode):
            return place.path, "./"
        found = place.path
    return os.path.dirname(found), "./" + os.path.basename(found)


def _ripgrep_words(program: str, request: Request, pattern: str) -> list[str]:
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
    return [*words, "--regexp", pattern]


def _search(
    services: Services, request: Request, words: list[str], directory: str, found: _Records
) -> None:
    code = _run(services, request, words, directory, found)
    complaint = found.complaints.decode("utf-8", "replace").strip()
    # Without a complaint it is only that some file could not be read.
    if code not in (0, _NO_MATCH) and complaint and not found.records:
        raise ToolFailure("invalid_argument", f"the search failed: {complaint[:500] or code}")


def _grep_batches(
    services: Services,
    request: Request,
    pattern: str,
    directory: str,
    target: str,
    found: _Records,
) -> None:
    """Search with grep, over the files that are not ignored."""
    arguments = request.arguments
    words = ["grep", "-nHIZs", "-F" if arguments.flag("fixed") else "-E"]
    words += ["-i"] if arguments.flag("ignore_case") else []
    words += [f"-C{_context(request)}"] if _context(request) else []
    glob = arguments.optional_text("glob")
    for batch in _batches(_targets(services, request, directory, target, glob)):
        _search(services, request, [*words, "-e", pattern, "--", *batch], directory, found)
        if found.cut:
            return


def _targets(
    services: Services, request: Request, directory: str, target: str, glob: str | None
) -> list[str]:
    if target != "./":
        return [target]
    candidates, _ = _list_files(services, request, directory)
    expression = compile_glob(glob) if glob else None
    return [
        "./" + name
        for name in candidates
        if (expression is None or expression.match(name)) and _is_regular(directory, name)
    ]


def _is_regular(directory: str, name: str) -> bool:
    try:
        return stat.S_ISREG(os.lstat(os.path.join(directory, name)).st_mode)
    except OSError:
        return False


def _batches(names: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(names), _BATCH):
        yield names[start : start + _BATCH]


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
