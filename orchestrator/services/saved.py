"""Saved sessions: list, resume, delete.

Owns the order of a resume: rate, file, directory, slot with conversation. Refuses to
delete what it resumes: the file stays until a newer save replaces it.
"""

from __future__ import annotations

from typing import Final

from orchestrator.archive.archive import Archive
from orchestrator.archive.document import Header
from orchestrator.domain.errors import (
    ProjectAlreadyOpen,
    ProjectPathNotFound,
    SessionNotFound,
)
from orchestrator.domain.limits import RESUMES_PER_MINUTE, RESUMES_PER_MINUTE_ALL
from orchestrator.domain.session import Session
from orchestrator.services.clock import now
from orchestrator.services.sessions import SessionNotEmpty, SessionService
from orchestrator.services.starting import Inspection, Starter
from orchestrator.store.facade import Store
from orchestrator.store.history import Conversation
from orchestrator.store.rates import Rate
from orchestrator.wire.bodies import SavedSession

_WINDOW_S: Final = 60.0
"""Seconds over which resumes are counted."""


class SavedService:
    """What clients do with sessions on disk."""

    def __init__(
        self, store: Store, archive: Archive, starter: Starter, sessions: SessionService
    ) -> None:
        """Bring sessions from `archive` back into `store`."""
        self._sessions = sessions
        self._store = store
        self._archive = archive
        self._starter = starter

    async def list(self) -> list[SavedSession]:
        """Return what can be resumed, newest first; sessions that are live are left out."""
        live = {session.id for session in await self._store.sessions.list()}
        return [entry for entry in await self._archive.listing() if entry.id not in live]

    async def delete(self, session_id: str) -> None:
        """Remove a saved session.

        Raises SavedSessionNotFound, or ProjectAlreadyOpen when the session is live.
        """
        live = await self._store.sessions.find(session_id)
        if live is not None:
            raise ProjectAlreadyOpen(
                f"“{live.name}” is open; what is saved of it is kept. Close it first, then delete "
                "it.",
                session_id=session_id,
            )
        await self._archive.delete(session_id)

    async def resume(
        self, session_id: str, project_path: str | None, replaces: str | None = None
    ) -> Session:
        """Make a saved session live again, under its own id, at `project_path` if it moved.

        `replaces` names a live session that gives its place up if nothing was said in it.

        Every attempt counts. Raises TooManyRequests, an error of the saved file, one of the
        `project_path_*` family, SessionLimitReached, ProjectAlreadyOpen or
        SupervisorUnavailable.
        """
        await self._store.rates.take(
            Rate(f"resume:{session_id}", RESUMES_PER_MINUTE, _WINDOW_S),
            Rate("resume", RESUMES_PER_MINUTE_ALL, _WINDOW_S),
        )
        header, contents = await self._archive.load(session_id)
        if await self._store.sessions.find(session_id) is not None:
            raise ProjectAlreadyOpen(
                f"“{header.name}” is open already. Switch to it.", session_id=session_id
            )
        found = await self._inspect(header, project_path)
        if replaces is not None:
            await self._make_way(replaces, found.real_path)
        session = _revived(header, found.real_path, found.language)
        conversation = Conversation(
            contents.entries,
            contents.prompt_history,
            contents.todos,
            contents.approvals,
            contents.allowed_tools,
        )
        return await self._starter.claim(session, found, conversation=conversation)

    async def _make_way(self, session_id: str, real_path: str) -> None:
        """Close an empty session at `real_path`; one that is used, or elsewhere, stays."""
        live = await self._store.sessions.find(session_id)
        if live is None or live.project_path != real_path:
            return
        try:
            await self._sessions.close(session_id, save=False, only_empty=True)
        except (SessionNotEmpty, SessionNotFound):
            return

    async def _inspect(self, header: Header, project_path: str | None) -> Inspection:
        try:
            return await self._starter.inspect(project_path or header.project_path)
        except ProjectPathNotFound as error:
            raise ProjectPathNotFound(
                f"{error.detail} If the project of “{header.name}” moved, resume it with its new "
                "path; what is saved stays as it is.",
                **error.extra,
            ) from error


def _revived(header: Header, real_path: str, language: str | None) -> Session:
    return Session(
        id=header.id,
        name=header.name,
        project_path=real_path,
        config=header.config,
        language=language or header.language,
        created_at=header.created_at,
        updated_at=now(),
        usage=header.usage,
        turns=header.turns,
    )
