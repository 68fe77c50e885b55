"""The reconcile loop: makes the runtime agree with what the store says should be.

Owns when to look and what becomes of a failure. Sessions are taken care of side
by side: one slow start never keeps another waiting. Looks at everything afresh
each time, so that a lost wake-up costs seconds and a repeated one nothing.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Final

import structlog

from orchestrator.domain.errors import JidoError, StoreUnavailable, Unavailable
from orchestrator.domain.session import Session
from orchestrator.sandboxes.runtime import SandboxExit
from orchestrator.sandboxes.runtime_errors import SandboxStartFailed
from orchestrator.store.facade import Store
from orchestrator.store.intents import SandboxIntent
from orchestrator.store.keys import SUPERVISOR_TOPIC
from orchestrator.supervisor.current_runtime import CurrentRuntime
from orchestrator.supervisor.lifecycle import Lifecycle, Postponed, Superseded
from orchestrator.supervisor.plan import Action, decide
from orchestrator.supervisor.serial import SerialTasks

LOOK_INTERVAL_S: Final = 5.0
"""Seconds between looks at what is wanted and at what runs, when nothing wakes the loop."""

STORE_RETRY_S: Final = 0.5
"""Seconds before the next look when the store did not answer."""

_LOOK_AGAIN_S: Final = 0.05
"""Seconds before a session is looked at again whose record moved meanwhile."""

_BRINGING_UP: Final = frozenset({"start", "replace", "adopt", "crash"})
"""Actions that are given up when their session is to go, and whose failure is the session's."""

_log = structlog.get_logger(__name__)


class Reconciler:
    """Wakes, looks, and has each session taken care of."""

    def __init__(self, store: Store, runtime: CurrentRuntime, lifecycle: Lifecycle) -> None:
        """Reconcile `store` with `runtime` by the actions of `lifecycle`."""
        self._store = store
        self._runtime = runtime
        self._lifecycle = lifecycle
        self._intents: dict[str, SandboxIntent] = {}
        self._acting: dict[str, Action] = {}
        self._strays: set[str] = set()
        self._reading = asyncio.Lock()
        self._tasks = SerialTasks(self._take_care)

    async def run(self) -> None:
        """Follow what is wanted: now, at each wake-up and every five seconds, until cancelled."""
        try:
            with self._store.signals.watch(SUPERVISOR_TOPIC) as watch:
                while True:
                    wait = LOOK_INTERVAL_S
                    try:
                        await self._follow_intents()
                    except Unavailable as error:
                        wait = STORE_RETRY_S
                        _log.warning("reconcile.postponed", code=error.code, detail=error.detail)
                    await watch.wait(wait)
        finally:
            await self._tasks.close()

    async def watch_runtime(self) -> None:
        """Compare what runs with what should, now and every five seconds, until cancelled.

        Apart from `run`: an engine that answers slowly must not keep new sessions waiting.
        """
        while True:
            try:
                await self._compare()
            except Unavailable as error:
                _log.warning("compare.postponed", code=error.code, detail=error.detail)
            await asyncio.sleep(LOOK_INTERVAL_S)

    async def follow_exits(self) -> None:
        """Take care of each sandbox that ends unasked, until cancelled."""
        async for ended in self._runtime.exits():
            self._crashed(ended)

    async def _compare(self) -> None:
        served = dict(self._lifecycle.served)
        alive = await self._lifecycle.alive()
        # Read after the living were listed: a sandbox is always younger than its intent.
        await self._follow_intents()
        strays = alive - self._intents.keys()
        self._strays |= strays
        for session_id in strays:
            self._touch(session_id)
        for session_id in served.keys() - alive:
            if session_id in self._lifecycle.served and not self._acting.get(session_id):
                self._crashed(SandboxExit(session_id, "gone", None, "The sandbox is gone."))

    async def _follow_intents(self) -> None:
        # One reading at a time, so that an older answer never replaces a newer one.
        async with self._reading:
            found = await self._store.sessions.intents()
            self._intents = {each.session_id: each for each in found}
        self._strays |= self._lifecycle.served.keys() - self._intents.keys()
        for session_id in self._intents.keys() | self._strays:
            self._touch(session_id)

    def _crashed(self, ended: SandboxExit) -> None:
        self._lifecycle.exits[ended.session_id] = ended
        self._touch(ended.session_id)

    def _touch(self, session_id: str) -> None:
        intent = self._intents.get(session_id)
        unwanted = intent is None or intent.desired == "stopped"
        acting = self._acting.get(session_id)
        self._tasks.touch(session_id, interrupt=unwanted and acting in _BRINGING_UP)

    async def _take_care(self, session_id: str) -> None:
        """Look at one session and do what the plan says."""
        try:
            await self._settle(session_id)
        except Superseded:
            await asyncio.sleep(_LOOK_AGAIN_S)
            self._touch(session_id)
        except (Postponed, Unavailable) as reason:
            # The next look takes it up again.
            _log.info("session.postponed", session_id=session_id, reason=str(reason))
        finally:
            self._acting.pop(session_id, None)

    async def _settle(self, session_id: str) -> None:
        session = await self._store.sessions.find(session_id)
        intent = self._intents.get(session_id)
        if session_id in self._strays:
            self._strays.discard(session_id)
            if session is None and intent is None:
                self._acting[session_id] = "stop"
                await self._lifecycle.reap(session_id)
        if session is None or intent is None:
            return
        action = decide(
            intent,
            session,
            served=self._lifecycle.served.get(session_id),
            ended=session_id in self._lifecycle.exits,
            now=datetime.now(UTC),
        )
        if action == "nothing":
            return
        self._acting[session_id] = action
        await self._attempt(action, intent, session)

    async def _attempt(self, action: Action, intent: SandboxIntent, session: Session) -> None:
        try:
            await self._act(action, intent, session)
        except StoreUnavailable:
            raise
        except JidoError as error:
            if action not in _BRINGING_UP:
                raise Postponed(error.detail) from error
            await self._lifecycle.fail(session.id, error)
        except (Superseded, Postponed):
            raise
        except Exception as error:  # noqa: BLE001  (a fault of ours must not leave a session waiting)
            _log.exception("session.fault", session_id=session.id, action=action)
            if action in _BRINGING_UP:
                failure = SandboxStartFailed(f"The supervisor met a fault of its own: {error!r}.")
                await self._lifecycle.fail(session.id, failure)

    async def _act(self, action: Action, intent: SandboxIntent, session: Session) -> None:
        if action == "start":
            await self._lifecycle.start(intent)
        elif action == "replace":
            await self._lifecycle.replace(intent, session)
        elif action == "adopt":
            await self._lifecycle.adopt(intent, session)
        elif action == "crash":
            await self._lifecycle.crash(intent, session)
        elif action == "stop":
            await self._lifecycle.stop(session.id)
        elif action == "remove":
            await self._lifecycle.remove(session)
        elif action == "reopen":
            await self._lifecycle.reopen(session)
