"""Saving live sessions to disk: on close, after each turn, and whatever was missed.

Owns what belongs into a saved session. Refuses to save one in which nothing was
said, and to leave an autosave behind that its user closed without saving.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

import structlog

from orchestrator.archive.archive import Archive
from orchestrator.archive.document import Contents, Header
from orchestrator.domain.errors import JidoError, SavedSessionTooLarge, SessionNotFound
from orchestrator.domain.limits import MAX_SAVED_SESSIONS, WARN_SAVED_SESSIONS
from orchestrator.domain.session import Session
from orchestrator.services.story import notice
from orchestrator.store.facade import Store
from orchestrator.store.history import Conversation
from orchestrator.wire.bodies import Saved

RETRY_S: Final = 10.0
"""Seconds after which an autosave that failed is tried again; doubled each time it fails."""

LONGEST_PAUSE_S: Final = 60.0
"""Seconds between two such attempts at most."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Failure:
    """An autosave that failed, and when another one makes sense."""

    changed_at: datetime
    """Moment of the record that could not be saved."""
    pause_s: float
    retry_at: float
    """Monotonic seconds."""
    hopeless: bool
    """True when nothing but a change of the session can help."""

    def is_due(self, session: Session) -> bool:
        """Say whether `session` should be tried again."""
        if self.hopeless:
            return session.updated_at != self.changed_at
        return time.monotonic() >= self.retry_at


class Saving:
    """Writes live sessions into the archive."""

    def __init__(self, store: Store, archive: Archive, retry_s: float = RETRY_S) -> None:
        """Read from `store`, write to `archive`; failed autosaves again after `retry_s` seconds."""
        self._retry_s = retry_s
        self._store = store
        self._archive = archive
        self._seen: dict[str, datetime] = {}
        """Session to the moment up to which it is known to be saved."""
        self._failed: dict[str, Failure] = {}
        """Sessions whose autosave failed."""

    async def save(self, session_id: str, closed_at: datetime | None = None) -> bool:
        """Save because somebody wants it kept; False when the session is empty.

        Raises SessionNotFound, SavedLimitReached, SavedSessionTooLarge, NoSpace or
        ArchiveUnavailable; what was saved before is whole then.
        """
        return await self._write(session_id, closed_at, kept=True)

    async def keep(self, session_id: str) -> Saved:
        """Save a live session now and go on with it; raises as `save`."""
        session = await self._store.sessions.get(session_id)
        await self.save(session_id)
        if not await self._store.history.count(session_id):
            detail = f"There is nothing to save in “{session.name}” yet: nothing was said."
            return Saved(id=session.id, name=session.name, saved=False, detail=detail)
        file = str(self._archive.path_of(session_id))
        detail = f"Saved: “{session.name}”, in {file}. Every turn is saved as it ends, too."
        return Saved(id=session.id, name=session.name, saved=True, file=file, detail=detail)

    async def autosave(self, session_id: str) -> bool:
        """Save after a turn; never raises, a failure is logged and told. False when it failed."""
        error = await self._attempt(session_id)
        if error is None:
            return True
        _log.warning("session.autosave_failed", session=session_id, code=error.code)
        await self._tell(session_id, "warning", error.code, f"Not saved: {error.detail}")
        return False

    async def catch_up(self) -> None:
        """Autosave every session that changed since it was saved last and works on nothing.

        After each turn there is nothing to do; this mends what a full disk, a process that was
        killed, or a change outside any turn left behind.
        """
        sessions = await self._store.sessions.list()
        live = {session.id for session in sessions}
        self._seen = {key: value for key, value in self._seen.items() if key in live}
        self._failed = {key: value for key, value in self._failed.items() if key in live}
        for session in sessions:
            if await self._is_behind(session):
                await self._catch_up(session)

    async def discard(self, session_id: str) -> None:
        """Remove the autosaves of a session that is closed without saving."""
        await self._archive.discard(session_id)

    async def ensure_room(self, session_id: str) -> None:
        """Raise SavedLimitReached when this session cannot be saved; empty ones always pass."""
        if await self._store.history.count(session_id):
            await self._archive.ensure_room(session_id)

    async def _attempt(self, session_id: str) -> JidoError | None:
        """Autosave once; returns what went wrong. What is gone or closing needs no autosave."""
        try:
            session = await self._store.sessions.find(session_id)
            if session is None or session.status == "closing":
                return None
            is_new = not await self._archive.exists(session_id)
            if await self._write(session_id, None, kept=False) and is_new:
                await self._warn_when_many(session_id)
            await self._discard_if_closed(session_id)
        except SessionNotFound:
            return None
        except JidoError as error:
            return error
        return None

    async def _write(self, session_id: str, closed_at: datetime | None, kept: bool) -> bool:
        session, conversation = await self._store.history.snapshot(session_id)
        contents = contents_of(conversation)
        return await self._archive.save(header_of(session, contents, closed_at, kept), contents)

    async def _is_behind(self, session: Session) -> bool:
        if session.status == "closing" or session.activity == "working":
            return False
        if self._seen.get(session.id) == session.updated_at:
            return False
        failed = self._failed.get(session.id)
        if failed is not None and not failed.is_due(session):
            return False
        if not await self._store.history.count(session.id):
            return False
        if await self._archive.saved_at(session.id) != session.updated_at:
            return True
        self._seen[session.id] = session.updated_at
        return False

    async def _catch_up(self, session: Session) -> None:
        error = await self._attempt(session.id)
        if error is not None:
            pause_s = self._failed[session.id].pause_s * 2 if session.id in self._failed else 0.0
            pause_s = min(max(pause_s, self._retry_s), LONGEST_PAUSE_S)
            hopeless = isinstance(error, SavedSessionTooLarge)
            self._failed[session.id] = Failure(
                session.updated_at, pause_s, time.monotonic() + pause_s, hopeless
            )
            _log.warning("session.catch_up_failed", session=session.id, code=error.code)
            return
        _log.info("session.caught_up", session=session.id)
        self._seen[session.id] = session.updated_at
        if self._failed.pop(session.id, None) is not None:
            await self._tell(session.id, "info", "saved_again", "The session is saved again.")

    async def _discard_if_closed(self, session_id: str) -> None:
        after = await self._store.sessions.find(session_id)
        if after is None or after.status == "closing":
            # Closed meanwhile: whether the session is saved is decided there alone.
            await self._archive.discard(session_id)

    async def _warn_when_many(self, session_id: str) -> None:
        count = await self._archive.count()
        if count < WARN_SAVED_SESSIONS:
            return
        text = (
            f"{count} sessions are saved; at {MAX_SAVED_SESSIONS} no new one can be saved. Delete "
            "some with /resume delete, or set JIDO_SAVED_MAX_COUNT or JIDO_SAVED_MAX_AGE_DAYS."
        )
        await self._store.events.append(session_id, [notice("warning", "saved_many", text)])

    async def _tell(
        self, session_id: str, level: Literal["info", "warning"], code: str, text: str
    ) -> None:
        try:
            await self._store.events.append(session_id, [notice(level, code, text)])
        except JidoError as failure:
            _log.warning("session.notice_failed", session=session_id, code=failure.code)


def contents_of(conversation: Conversation) -> Contents:
    """Return what is kept of a conversation."""
    return Contents(
        entries=conversation.entries,
        todos=conversation.todos,
        prompt_history=conversation.prompts,
        approvals=conversation.approvals,
        allowed_tools=conversation.allowed_tools,
    )


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
