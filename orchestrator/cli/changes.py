"""Which files a turn changed.

Owns `files_changed`: a comparison of the project's files before and after, made inside
the sandbox, so that what commands changed counts too. What the repository ignores does
not count.
"""

from __future__ import annotations

from typing import Final

from orchestrator.cli.commands import run_command
from orchestrator.domain.errors import JidoError
from orchestrator.local.http import Api

_LIST: Final = """
{ git ls-files -z --cached --others --exclude-standard 2>/dev/null ||
  find . \\( -name .git -o -name .jido_code -o -name __pycache__ -o -name node_modules \\) \
    -prune -o \\( -type f -o -type l \\) -print0
} | xargs -0 -r stat --printf '%y %s %f %n\\0' -- 2>/dev/null
true
"""
"""Names every file with what changes when its content does; needs git only in a repository."""
_LIST_S: Final = 30.0
"""Seconds the listing may take."""
_MAX_BYTES: Final = 67_108_864
"""Bytes of a listing that are read; a longer one is given up."""


class Changes:
    """The files of a session's project, compared with the moment this was made."""

    def __init__(self, api: Api, session_id: str) -> None:
        """Remember the present state."""
        self._api = api
        self._session_id = session_id
        self._before = self._read()

    def paths(self) -> list[str]:
        """Return the paths that differ now, relative to the project and sorted.

        Empty when either listing could not be made: no list is better than a wrong one.
        """
        after = self._read()
        if self._before is None or after is None:
            return []
        names = self._before.keys() | after.keys()
        return sorted(name for name in names if self._before.get(name) != after.get(name))

    def _read(self) -> dict[str, str] | None:
        listing = bytearray()

        def take(stream: str, chunk: bytes) -> None:
            if stream == "stdout" and len(listing) <= _MAX_BYTES:
                listing.extend(chunk)

        try:
            end = run_command(self._api, self._session_id, _LIST, _LIST_S, take)
        except JidoError:
            return None
        if end.code != 0 or end.timed_out or len(listing) > _MAX_BYTES:
            return None
        return dict(map(_entry, filter(None, listing.decode(errors="replace").split("\0"))))


def repository_warnings(api: Api, session_id: str) -> list[str]:
    """Return what is to be said of repositories that the session made; none when nobody knows."""
    try:
        diff = api.call("GET", f"/v1/sessions/{session_id}/diff")
    except JidoError:
        return []
    return [str(each.get("text", "")) for each in diff.get("warnings") or []]


def _entry(line: str) -> tuple[str, str]:
    """Split `DATE TIME ZONE SIZE MODE NAME`."""
    *marks, name = line.split(" ", 5)
    return name.removeprefix("./"), " ".join(marks)
