"""Sessions: create, watch, change, restart, close.

Owns the order of steps. Refuses transport and engines: a sandbox starts and
stops because its intent changed and the supervisor was woken.
"""

from __future__ import annotations

import builtins
import time
from typing import Final

import structlog

from orchestrator.domain.errors import (
    Conflict,
    JidoError,
    SessionNotReady,
    SupervisorUnavailable,
)
from orchestrator.domain.events import NewEvent
from orchestrator.domain.ids import new_id
from orchestrator.domain.limits import START_TIMEOUT_S
from orchestrator.domain.models import ConfigChange, SessionConfig, merge_config
from orchestrator.domain.names import name_from_path, validate_name
from orchestrator.domain.session import Session
from orchestrator.services.clock import now
from orchestrator.services.model_choice import ModelService, with_model
from orchestrator.services.project_settings import apply_project
from orchestrator.services.saving import Saving
from orchestrator.services.starting import Starter
from orchestrator.services.story import notice, session_event
from orchestrator.services.turns import TurnService
from orchestrator.store.facade import Store

CLOSE_TIMEOUT_S: Final = 15.0
"""Seconds a sandbox may take to end before the caller is told to try again."""

SETTLE_TIMEOUT_S: Final = 5.0
"""Seconds a cancelled turn may take to end before its session is closed anyway."""

_LOOK_AGAIN_S: Final = 1.0
"""Seconds after which a waiting call looks again although nothing woke it."""

_log = structlog.get_logger(__name__)


class SessionNotEmpty(Conflict):
    """Something was said in a session that was to be closed only if nothing was."""

    code = "session_not_empty"


class SessionService:
    """What clients do with live sessions."""

    def __init__(
        self,
        store: Store,
        starter: Starter,
        models: ModelService,
        turns: TurnService,
        saving: Saving,
    ) -> None:
        """Work on the records in `store`."""
        self._store = store
        self._starter = starter
        self._models = models
        self._turns = turns
        self._saving = saving

    async def create(
        self, path: str | None, name: str | None, change: ConfigChange | None
    ) -> Session:
        """Claim a slot and the path; the sandbox starts afterwards.

        Raises one of the `project_path_*` family, InvalidName, NameTooLong, a fault of the
        configuration, SessionLimitReached, ProjectAlreadyOpen or SupervisorUnavailable.
        """
        chosen = validate_name(name) if name is not None else None
        found = await self._starter.inspect(path)
        is_named = change is not None and change.model is not None
        base = await self._models.default(is_named=is_named)
        config = apply_project(base, found.real_path, found.settings)
        if change is not None:
            config = merge_config(config, with_model(change, config))
        moment = now()
        session = Session(
            id=new_id(),
            name=await self._starter.free_name(chosen or name_from_path(found.real_path)),
            project_path=found.real_path,
            config=config,
            language=found.language,
            created_at=moment,
            updated_at=moment,
        )
        return await self._starter.claim(session, found, await self._lacking(config))

    async def get(self, session_id: str) -> Session:
        """Return a live session; raises SessionNotFound."""
        return await self._store.sessions.get(session_id)

    async def list(self) -> builtins.list[Session]:
        """Return the live sessions by creation."""
        return await self._store.sessions.list()

    async def settled(self, session_id: str, timeout_s: float = START_TIMEOUT_S) -> Session:
        """Wait until the session is neither starting nor restarting, or `timeout_s` seconds.

        Raises SessionNotFound when it is gone meanwhile.
        """
        deadline = time.monotonic() + timeout_s
        with self._store.signals.watch(f"session:{session_id}") as watch:
            while True:
                session = await self._store.sessions.get(session_id)
                left = deadline - time.monotonic()
                if session.status not in ("starting", "restarting") or left <= 0:
                    return session
                await watch.wait(min(left, _LOOK_AGAIN_S))

    async def update(
        self, session_id: str, name: str | None, change: ConfigChange | None
    ) -> Session:
        """Rename or configure; what is not given stays.

        Raises SessionNotFound, InvalidName, NameTooLong or a fault of the configuration.
        """
        chosen = validate_name(name) if name is not None else None
        if chosen is not None:
            chosen = await self._starter.free_name(chosen, besides=session_id)

        def changed(session: Session) -> Session:
            config = session.config
            if change is not None:
                config = merge_config(config, with_model(change, config))
            fields = {"name": chosen or session.name, "config": config}
            if fields == {"name": session.name, "config": session.config}:
                return session
            return session.model_copy(update={**fields, "updated_at": now()})

        before = await self._store.sessions.get(session_id)
        after = await self._store.sessions.update(session_id, changed, _told)
        if after.config.provider != before.config.provider:
            told = await self._lacking(after.config)
            if told:
                await self._store.events.append(session_id, told)
        return after

    async def restart(self, session_id: str) -> Session:
        """Ask for a fresh sandbox; the conversation stays.

        Raises SessionNotFound, or SessionNotReady while it starts or closes.
        """
        session = await self._store.sessions.get(session_id)
        if session.status in ("starting", "closing"):
            raise SessionNotReady(
                f"The session is {session.status}; it can be restarted once it is ready or failed."
            )
        session = await self._store.sessions.update(
            session_id,
            _restarting,
            lambda _, after: [session_event("session.restarting", after)],
        )
        await self._store.sessions.set_desired(session_id, "running", bump=True)
        return session

    async def close(self, session_id: str, save: bool, *, only_empty: bool = False) -> None:
        """End a session: its turns, then, when `save`, its record on disk, then its sandbox.

        `only_empty` refuses a session in which something was said, in one step with the rest.
        Raises SessionNotFound; SessionNotEmpty before anything was ended; SavedLimitReached,
        SavedSessionTooLarge, NoSpace or ArchiveUnavailable when it cannot be saved: the session
        lives on then; SupervisorUnavailable when the sandbox does not end in time, in which case
        closing again goes on with it.
        """
        before = await self._store.sessions.get(session_id)
        if save:
            await self._saving.ensure_room(session_id)
            if before.activity != "idle":
                # Shown to be possible before any work is ended for it.
                await self._saving.save(session_id)
        closing = _closing_empty if only_empty else _closing
        await self._store.sessions.update(session_id, closing, lambda _, __: [])
        await self._end_turns(session_id)
        if save:
            await self._save_or_reopen(before)
        else:
            await self._saving.discard(session_id)
        await self._store.sessions.set_desired(session_id, "stopped")
        await self._gone(session_id)

    async def finish_closings(self) -> None:
        """Go on with sessions whose closing was cut short by a crash."""
        for session in await self._store.sessions.list():
            if session.status != "closing":
                continue
            try:
                await self.close(session.id, save=True)
            except JidoError as error:
                _log.warning("session.close_unfinished", session=session.id, code=error.code)

    async def _lacking(self, config: SessionConfig) -> builtins.list[NewEvent]:
        """Return what to tell of a model that cannot be used here yet."""
        reason = await self._models.lacking(config.provider)
        if reason is None:
            return []
        text = f"{config.qualified} cannot be used yet. {reason}"
        return [notice("warning", "model_not_configured", text)]

    async def _save_or_reopen(self, before: Session) -> None:
        """Save a session that is closing; when that fails it is again what it was `before`."""
        try:
            await self._saving.save(before.id, closed_at=now())
        except JidoError:
            if before.status != "closing":
                await self._store.sessions.update(
                    before.id, lambda session: reopened(session, before), _told_reopened
                )
            raise

    async def _end_turns(self, session_id: str) -> None:
        """Cancel every turn and wait briefly, so that what was written so far is saved too."""
        with self._store.signals.watch(f"session:{session_id}") as watch:
            await self._turns.cancel_all(session_id)
            deadline = time.monotonic() + SETTLE_TIMEOUT_S
            while await self._store.turns.active(session_id) is not None:
                left = deadline - time.monotonic()
                if left <= 0:
                    return
                await watch.wait(min(left, _LOOK_AGAIN_S))

    async def _gone(self, session_id: str) -> None:
        deadline = time.monotonic() + CLOSE_TIMEOUT_S
        with self._store.signals.watch(f"session:{session_id}") as watch:
            while await self._store.sessions.find(session_id) is not None:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise SupervisorUnavailable(
                        "The session is saved, but its sandbox has not ended yet. Close it again, "
                        "and see that the supervisor runs."
                    )
                await watch.wait(min(left, _LOOK_AGAIN_S))


def reopened(session: Session, before: Session) -> Session:
    """Return the record of a session whose closing was given up."""
    if before.status in ("ready", "failed"):
        fields = {"status": before.status, "error": before.error}
    else:
        why = "The session was closed while its sandbox started. Restart it."
        fields = {"status": "failed", "error": why}
    return session.model_copy(update={**fields, "updated_at": now()})


def _told_reopened(_before: Session, after: Session) -> list[NewEvent]:
    return [session_event("session.ready" if after.status == "ready" else "session.failed", after)]


def _told(before: Session, after: Session) -> list[NewEvent]:
    told = []
    if after.name != before.name:
        told.append(session_event("session.renamed", after))
    if after.config != before.config:
        told.append(session_event("session.configured", after))
    return told


def _restarting(session: Session) -> Session:
    return session.model_copy(update={"status": "restarting", "error": None, "updated_at": now()})


def _closing_empty(session: Session) -> Session:
    if session.turns:
        raise SessionNotEmpty(
            f"Something was said in “{session.name}” meanwhile, so it stays open."
        )
    return _closing(session)


def _closing(session: Session) -> Session:
    return session.model_copy(update={"status": "closing", "updated_at": now()})
