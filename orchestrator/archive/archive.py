"""Saved sessions: save, load, list, delete.

Owns which save may replace which. Refuses to delete what it cannot read, to let
one damaged file hide another, and to keep a session in which nothing was said.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from orchestrator.archive import document, files
from orchestrator.archive.document import Contents, Header
from orchestrator.archive.errors import damaged
from orchestrator.archive.listing import read_listing
from orchestrator.domain.errors import JidoError, SavedLimitReached, SavedSessionNotFound
from orchestrator.domain.ids import is_id
from orchestrator.domain.limits import MAX_SAVED_SESSIONS
from orchestrator.wire.bodies import SavedSession

Result = TypeVar("Result")


class Archive:
    """The saved sessions of one installation; safe to use from several processes."""

    def __init__(self, home: Path, maximum: int = MAX_SAVED_SESSIONS) -> None:
        """Keep files in `sessions` beneath `home`; `maximum` of them, new ones are refused then."""
        self._directory = home / "sessions"
        self._maximum = maximum
        self._turn = asyncio.Semaphore(4)
        self.path_of = partial(files.path_of, self._directory)
        """Returns where the session of an identifier is or would be saved."""

    async def save(self, header: Header, contents: Contents) -> bool:
        """Write a session, all or nothing; False when it is empty or a newer one is there.

        Raises SavedSessionTooLarge, SavedLimitReached, NoSpace or ArchiveUnavailable; what was
        saved before is untouched then.
        """
        if not contents.entries:
            return False
        return await self._off_loop(lambda: self._save(header, contents))

    async def load(self, session_id: str) -> tuple[Header, Contents]:
        """Read a session; the file stays.

        Raises SavedSessionNotFound, SavedSessionUnreadable or one of its kinds,
        SavedSessionTooLarge, SavedSessionVersion, SavedSessionOwner.
        """
        return await self._off_loop(lambda: self._load(session_id))

    async def listing(self) -> list[SavedSession]:
        """Return all saved sessions, newest first; a file that cannot be read carries its code."""
        return await self._off_loop(lambda: read_listing(self._directory))

    async def delete(self, session_id: str) -> None:
        """Remove a saved session, whatever state its file is in; raises SavedSessionNotFound."""
        await self._off_loop(lambda: self._delete(session_id))

    async def discard(self, session_id: str) -> None:
        """Remove an autosave that nobody chose to keep; one that was kept stays."""
        await self._off_loop(lambda: self._discard(session_id))

    async def ensure_room(self, session_id: str) -> None:
        """Raise SavedLimitReached when saving this session would exceed the limit."""
        await self._off_loop(lambda: self._ensure_room(session_id))

    async def saved_at(self, session_id: str) -> datetime | None:
        """Return `updated_at` of what is saved; None when nothing can be read."""
        present = await self._off_loop(lambda: self._present(session_id))
        return present.updated_at if present is not None else None

    async def exists(self, session_id: str) -> bool:
        """Say whether there is a file, whatever its state."""
        return await self._off_loop(lambda: files.exists(self._directory, session_id))

    async def changed_at(self) -> int:
        """Return when a session was last saved or deleted, in nanoseconds of the disk's clock."""
        return await self._off_loop(lambda: files.changed_at(self._directory))

    async def count(self) -> int:
        """Return how many files there are, damaged ones included."""
        return await self._off_loop(lambda: len(files.ids(self._directory)))

    async def _off_loop(self, work: Callable[[], Result]) -> Result:
        async with self._turn:
            return await asyncio.to_thread(self._translated, work)

    def _translated(self, work: Callable[[], Result]) -> Result:
        with files.translated(self._directory):
            return work()

    def _save(self, header: Header, contents: Contents) -> bool:
        with files.locked(self._directory):
            files.sweep(self._directory)
            self._ensure_room(header.id)
            present = self._present(header.id)
            if present is not None and not _supersedes(header, present):
                return False
            kept = header.kept or (present is not None and present.kept)
            data = document.encode(header.model_copy(update={"kept": kept}), contents)
            files.write(self._directory, header.id, data)
        return True

    def _present(self, session_id: str) -> Header | None:
        """Return the header of the file there is; None without one that can be read."""
        try:
            data, state = files.read_head(self._directory, session_id)
            return document.read_header(document.parse_head(data, state.st_size))
        except (JidoError, OSError):
            return None

    def _ensure_room(self, session_id: str) -> None:
        present = files.ids(self._directory)
        if session_id not in present and len(present) >= self._maximum:
            raise SavedLimitReached(
                f"{len(present)} sessions are saved, which is the limit. Delete some, "
                "or close this one without saving.",
                maximum=self._maximum,
            )

    def _load(self, session_id: str) -> tuple[Header, Contents]:
        _require_id(session_id)
        header, contents = document.decode(files.read(self._directory, session_id))
        if header.id != session_id:
            raise damaged("it carries the identifier of another session")
        return header, contents

    def _delete(self, session_id: str) -> None:
        _require_id(session_id)
        if not files.exists(self._directory, session_id):
            raise _not_found(session_id)
        with files.locked(self._directory):
            if not files.remove(self._directory, session_id):
                raise _not_found(session_id)

    def _discard(self, session_id: str) -> None:
        if not files.exists(self._directory, session_id):
            return
        with files.locked(self._directory):
            present = self._present(session_id)
            if present is not None and not present.kept:
                files.remove(self._directory, session_id)


def _require_id(session_id: str) -> None:
    if not is_id(session_id):
        raise _not_found(session_id)


def _supersedes(header: Header, present: Header) -> bool:
    """Say whether a record may replace the one there is.

    Conversations only grow, so the longer one is the newer. Clocks may be set back: they decide
    only between two that are equally long, and not whether a closed session is saved.
    """
    extent, there = (header.turns, header.messages), (present.turns, present.messages)
    if extent != there:
        return extent > there
    return header.closed_at is not None or header.updated_at >= present.updated_at


def _not_found(session_id: str) -> SavedSessionNotFound:
    return SavedSessionNotFound(
        f"No saved session has the id {session_id[:80]!r}. List them to see which there are."
    )
