"""Deleting saved sessions by age and count, when the user's settings ask for it.

Owns which ones go: the oldest, never a live one, never a file that cannot be read.
Refuses to delete in silence: what went is logged, and told in the sessions that are
live, or in the first one that comes to life.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Final

import structlog

from orchestrator.archive.archive import Archive
from orchestrator.domain.errors import JidoError, SavedSessionNotFound
from orchestrator.services.clock import now
from orchestrator.services.saving import Saving
from orchestrator.services.story import notice
from orchestrator.store.facade import Store
from orchestrator.wire.bodies import SavedSession

LOOK_AGAIN_S: Final = 3600.0
"""Seconds after which ages are looked at although nothing was saved."""
_NAMES_TOLD: Final = 5
"""Names that a notice lists; of more it says how many."""

_log = structlog.get_logger(__name__)


class CleanUp:
    """Keeps the saved sessions within what the settings allow; one of these per installation."""

    def __init__(
        self, store: Store, archive: Archive, saving: Saving, *, max_age_days: int, max_count: int
    ) -> None:
        """Delete sessions last used more than `max_age_days` days ago, and the oldest beyond
        `max_count`; 0 means never.
        """
        self._store = store
        self._archive = archive
        self._saving = saving
        self._max_age_days = max_age_days
        self._max_count = max_count
        self._looked_at: tuple[int, float] | None = None
        """State of the directory and monotonic seconds of the last look; None before the first."""
        self._untold: list[str] = []
        """Names of what was deleted while no session was live."""

    async def look(self) -> None:
        """Delete what has to go: at the first call, after a save, and once an hour."""
        if self._max_age_days or self._max_count:
            changed_at = await self._archive.changed_at()
            if self._is_due(changed_at):
                self._untold += await self.run()
                self._looked_at = (await self._archive.changed_at(), time.monotonic())
            await self._tell()

    async def run(self) -> list[str]:
        """Delete what has to go now and return the names."""
        live = {session.id for session in await self._store.sessions.list()}
        readable = [entry for entry in await self._archive.listing() if entry.error is None]
        candidates = [entry for entry in readable if entry.id not in live]
        doomed = surplus(candidates, now(), self._max_age_days, self._max_count)
        return [entry.name for entry in doomed if await self._delete(entry)]

    def _is_due(self, changed_at: int) -> bool:
        if self._looked_at is None:
            return True
        seen, looked_at = self._looked_at
        return changed_at != seen or time.monotonic() - looked_at > LOOK_AGAIN_S

    async def _delete(self, entry: SavedSession) -> bool:
        if await self._store.sessions.find(entry.id) is not None:
            return False
        try:
            await self._archive.delete(entry.id)
        except SavedSessionNotFound:
            return False
        if await self._store.sessions.find(entry.id) is not None:
            # Resumed in that very moment: it is alive, so its file comes back.
            await self._saving.save(entry.id)
            return False
        _log.info("saved.cleaned_up", session=entry.id, used_at=_used_at(entry).isoformat())
        return True

    async def _tell(self) -> None:
        if not self._untold:
            return
        live = await self._store.sessions.list()
        named = ", ".join(f"“{name}”" for name in self._untold[:_NAMES_TOLD])
        more = len(self._untold) - _NAMES_TOLD
        text = (
            f"Saved sessions were deleted, as your settings ask: {named}"
            f"{f' and {more} more' if more > 0 else ''}. JIDO_SAVED_MAX_AGE_DAYS is "
            f"{self._max_age_days} and JIDO_SAVED_MAX_COUNT is {self._max_count}; 0 keeps all."
        )
        for session in live:
            try:
                await self._store.events.append(session.id, [notice("info", "saved_deleted", text)])
            except JidoError as error:
                _log.warning("session.notice_failed", session=session.id, code=error.code)
            else:
                self._untold = []


def surplus(
    entries: list[SavedSession], moment: datetime, max_age_days: int, max_count: int
) -> list[SavedSession]:
    """Return which of `entries` have to go at `moment`, oldest first; 0 means no limit."""
    by_age = sorted(entries, key=_used_at)
    oldest = moment - timedelta(days=max_age_days)
    too_old = sum(1 for entry in by_age if max_age_days and _used_at(entry) < oldest)
    too_many = len(by_age) - max_count if max_count else 0
    return by_age[: max(too_old, too_many, 0)]


def _used_at(entry: SavedSession) -> datetime:
    return entry.closed_at or entry.updated_at
