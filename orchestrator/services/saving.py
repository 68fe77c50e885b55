"""Saving a live session to disk: on close, and after each turn.

Owns what belongs into a saved session. Refuses to save one in which nothing was
said, and to leave an autosave behind that its user closed without saving.
"""

from __future__ import annotations

from datetime import datetime

import structlog

from orchestrator.archive.archive import Archive
from orchestrator.archive.document import Contents, Header
from orchestrator.domain.errors import JidoError
from orchestrator.domain.limits import WARN_SAVED_SESSIONS
from orchestrator.domain.session import Session
from orchestrator.services.story import notice
from orchestrator.store.facade import Store
from orchestrator.wire.bodies import Saved

_log = structlog.get_logger(__name__)


class Saving:
    """Writes live sessions into the archive."""

    def __init__(self, store: Store, archive: Archive) -> None:
        """Read from `store`, write to `archive`."""
        self._store = store
        self._archive = archive

    async def save(self, session: Session, closed_at: datetime | None) -> bool:
        """Save because somebody wants it kept; False when the session is empty.

        Raises SavedLimitReached, SavedSessionTooLarge, NoSpace or ArchiveUnavailable.
        """
        return await self._write(session, closed_at, kept=True)

    async def keep(self, session_id: str) -> Saved:
        """Save a live session now and go on with it; raises as `save`, and SessionNotFound."""
        session = await self._store.sessions.get(session_id)
        await self.save(session, closed_at=None)
        if not await self._store.history.count(session_id):
            detail = f"There is nothing to save in “{session.name}” yet: nothing was said."
            return Saved(id=session.id, name=session.name, saved=False, detail=detail)
        file = str(self._archive.path_of(session_id))
        detail = f"Saved: “{session.name}”, in {file}. Every turn is saved as it ends, too."
        return Saved(id=session.id, name=session.name, saved=True, file=file, detail=detail)

    async def autosave(self, session_id: str) -> None:
        """Save after a turn; never raises, a failure is logged and told in the session."""
        session = await self._store.sessions.find(session_id)
        if session is None or session.status == "closing":
            return
        try:
            await self._write(session, None, kept=False)
            if session.turns == 1:
                await self._warn_when_many(session_id)
        except JidoError as error:
            _log.warning("session.autosave_failed", session=session_id, code=error.code)
            await self._tell(session_id, error)
        after = await self._store.sessions.find(session_id)
        if after is None or after.status == "closing":
            # Closed meanwhile: whether the session is saved is decided there alone.
            await self._archive.discard(session_id)

    async def discard(self, session_id: str) -> None:
        """Remove the autosaves of a session that is closed without saving."""
        await self._archive.discard(session_id)

    async def ensure_room(self, session_id: str) -> None:
        """Raise SavedLimitReached when this session cannot be saved; empty ones always pass."""
        if await self._store.history.count(session_id):
            await self._archive.ensure_room(session_id)

    async def _write(self, session: Session, closed_at: datetime | None, kept: bool) -> bool:
        history = self._store.history
        contents = Contents(
            entries=await history.entries(session.id),
            todos=await history.todos(session.id),
            prompt_history=await history.prompts(session.id),
        )
        header = header_of(session, contents, closed_at, kept)
        return await self._archive.save(header, contents)

    async def _warn_when_many(self, session_id: str) -> None:
        count = await self._archive.count()
        if count < WARN_SAVED_SESSIONS:
            return
        text = f"{count} sessions are saved; 100 is the limit. Delete some you no longer need."
        await self._store.events.append(session_id, [notice("warning", "saved_many", text)])

    async def _tell(self, session_id: str, error: JidoError) -> None:
        try:
            await self._store.events.append(
                session_id, [notice("warning", error.code, f"Not saved to disk: {error.detail}")]
            )
        except JidoError as failure:
            _log.warning("session.notice_failed", session=session_id, code=failure.code)


def header_of(
    session: Session, contents: Contents, closed_at: datetime | None, kept: bool
) -> Header:
    """Return what a listing shows of `session`."""
    return Header(
        id=session.id,
        name=session.name,
        project_path=session.project_path,
        language=session.language,
        config=session.config,
        created_at=session.created_at,
        updated_at=session.updated_at,
        closed_at=closed_at,
        messages=sum(1 for entry in contents.entries if entry.message is not None),
        turns=session.turns,
        usage=session.usage,
        kept=kept,
    )
