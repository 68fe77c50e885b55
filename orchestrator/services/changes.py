"""What changed in a project, read from the text git printed inside the sandbox.

Owns the reading of a unified diff's headers. Refuses to trust it: the text is
cut at a limit, and a line that is no header is never more than text.
"""

from __future__ import annotations

import re
from typing import Final, Literal

from orchestrator.sandboxes.repositories import Finding
from orchestrator.wire.bodies import Diff, DiffWarning, FileChange

MAX_CHARACTERS: Final = 1_048_576
"""Characters of a diff handed to a client; the rest is cut and `truncated` set."""

MAX_FILES: Final = 1000
"""Files listed."""

_BEGIN: Final = re.compile(r'^diff --git "?a/(?P<old>.*?)"? "?b/(?P<new>.*?)"?$')
_UNTRACKED: Final = "new file: "

Status = Literal["added", "modified", "deleted", "renamed"]

_MARKS: Final[tuple[tuple[str, Status], ...]] = (
    ("new file mode ", "added"),
    ("deleted file mode ", "deleted"),
    ("rename from ", "renamed"),
)


def read_changes(text: str) -> Diff:
    """Return the changed files and the text, both bounded."""
    files: list[FileChange] = []
    in_header = False
    for line in text[:MAX_CHARACTERS].split("\n"):
        begin = _BEGIN.match(line)
        if begin is not None:
            files.append(FileChange(path=begin["new"], status="modified"))
            in_header = True
        elif line.startswith("@@"):
            in_header = False
        elif in_header:
            files[-1] = _marked(files[-1], line)
        if begin is None and line.startswith(_UNTRACKED):
            files.append(FileChange(path=line.removeprefix(_UNTRACKED), status="added"))
            in_header = False
    is_cut = len(text) > MAX_CHARACTERS or len(files) > MAX_FILES
    return Diff(files=files[:MAX_FILES], text=text[:MAX_CHARACTERS], truncated=is_cut)


def warning_of(finding: Finding) -> DiffWarning:
    """Return what a user is told of a repository that the session made or changed."""
    path = _printable(finding.path)
    runs = ", ".join(map(_printable, finding.runs))
    if finding.kind == "gitlink_added":
        text = f"{path} was entered in the index as a repository of its own; git runs in it, too."
    else:
        done = "was made" if finding.kind == "repository_made" else "was changed"
        names = f" It names programs to run: {runs}." if runs else ""
        text = f"The repository {path} {done} during the session.{names}"
    return DiffWarning(
        code=finding.kind,
        path=path,
        text=f"{text} Your own git would run its hooks and settings: look at them first.",
    )


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _marked(change: FileChange, line: str) -> FileChange:
    for mark, status in _MARKS:
        if line.startswith(mark):
            return change.model_copy(update={"status": status})
    return change
