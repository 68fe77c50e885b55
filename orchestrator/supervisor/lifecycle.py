"""The life of a session's sandbox: started, adopted, crashed, restarted, ended.

Owns what is done to the runtime and what is written to the record with it, one
method per action of `plan`. Refuses to decide when: that is the plan's, and to
run two actions of one session at once: that is the reconciler's.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import structlog

from orchestrator.domain.errors import JidoError, SessionNotFound, SessionNotReady
from orchestrator.domain.events import EventType, NewEvent
from orchestrator.domain.limits import START_TIMEOUT_S
from orchestrator.domain.session import Session, SessionStatus
from orchestrator.sandboxes import baseline
from orchestrator.sandboxes.channel import Channel
from orchestrator.sandboxes.runtime import SandboxExit, SandboxLimits, SandboxSpec
from orchestrator.sandboxes.runtime_errors import RuntimeUnavailable, SandboxStartFailed
from orchestrator.sandboxes.writability import is_writable
from orchestrator.services.story import notice, session_event
from orchestrator.store.facade import Store
from orchestrator.store.intents import SandboxIntent
from orchestrator.supervisor.current_runtime import CurrentRuntime
from orchestrator.supervisor.inspection import Inspector
from orchestrator.supervisor.restarts import RestartBudget

MAX_STARTS_AT_ONCE: Final = 10
"""Sandboxes being started at once; more wait for their turn."""

RUNTIME_AWAY_S: Final = 60.0
"""Seconds a restart waits for a runtime that does not answer, such as an engine that restarts."""

RUNTIME_RETRY_S: Final = 0.5
"""Seconds between attempts meanwhile."""

STOP_ATTEMPTS: Final = 3
"""Attempts to end a sandbox before its session goes without it; it is reaped later."""

_EVENTS: Final[dict[SessionStatus, EventType]] = {
    "ready": "session.ready",
    "restarting": "session.restarting",
    "failed": "session.failed",
}

_CLOSING_ABANDONED: Final = "It was being closed and that was never finished. Close or restart it."
_READ_ONLY: Final = (
    "The project is read-only: its owner may not write it, or it is mounted so. It can be read "
    "and commands run, but nothing in it can be changed."
)
_GONE_UNSEEN: Final = "The sandbox ended while nobody watched."

_log = structlog.get_logger(__name__)


class Superseded(Exception):
    """The record moved on meanwhile; whoever moved it decides."""


class Postponed(Exception):
    """It cannot be known now what to do; the next look may tell."""


class Lifecycle:
    """Acts on the sandboxes of all sessions, one action per session at a time."""

    def __init__(
        self,
        store: Store,
        runtime: CurrentRuntime,
        inspector: Inspector,
        instance_id: str,
        channel_path: Callable[[str], Path],
    ) -> None:
        """Act for the installation `instance_id`; `channel_path` names a session's socket."""
        self._inspector = inspector
        self._store = store
        self._runtime = runtime
        self._instance_id = instance_id
        self._channel_path = channel_path
        self._starts = asyncio.Semaphore(MAX_STARTS_AT_ONCE)
        self._budgets: defaultdict[str, RestartBudget] = defaultdict(RestartBudget)
        self.served: dict[str, int] = {}
        """Sessions whose channel this process serves, and the generation of their sandbox."""
        self.served_more = asyncio.Event()
        """Set when a sandbox is served that was not; whoever reads it takes it down."""
        self.disk_baselines: dict[str, int] = {}
        """Bytes each project took when its session began, as far as its sandbox has told."""
        self.memory_kills: dict[str, int] = {}
        """Processes of each sandbox killed for want of memory while it lived on."""
        self.exits: dict[str, SandboxExit] = {}
        """Sandboxes seen to end unasked, until the end has been dealt with."""

    def heard(self, session_id: str, memory_kills: int, disk_baseline: int | None) -> None:
        """Take note of what a sandbox that is served says of itself."""
        if session_id not in self.served:
            return
        self.memory_kills[session_id] = memory_kills
        if disk_baseline is not None:
            self.disk_baselines.setdefault(session_id, disk_baseline)

    async def alive(self) -> set[str]:
        """Return the sessions that have a living sandbox."""
        return {each.session_id for each in await self._runtime.running()}

    async def start(self, intent: SandboxIntent) -> None:
        """Make the session's first sandbox."""
        await self._bring_up(intent, is_first=True)

    async def replace(self, intent: SandboxIntent, session: Session) -> None:
        """End what is there and make a fresh sandbox, as somebody asked."""
        if session.status == "ready":
            await self._move(session.id, "restarting", {"ready"})
        self._budgets[session.id].reset()
        await self._end(session.id)
        await self._restart(intent)

    async def adopt(self, intent: SandboxIntent, session: Session) -> None:
        """Serve the sandbox of an earlier process; one that died meanwhile has crashed."""
        path = str(self._channel_path(session.id))
        try:
            alive = await self._runtime.adopt(session.id, path)
        except RuntimeUnavailable as error:
            raise Postponed(error.detail) from error
        if alive:
            self.served[session.id] = intent.generation
            self.served_more.set()
            _log.info("sandbox.adopted", session_id=session.id)
            return
        self.exits[session.id] = SandboxExit(session.id, "gone", None, _GONE_UNSEEN)
        await self.crash(intent, session)

    async def crash(self, intent: SandboxIntent, session: Session) -> None:
        """Tell what happened and restart, or give up when it happens too often."""
        ended = self.exits[session.id]
        try:
            alive = await self.alive()
        except RuntimeUnavailable as error:
            raise Postponed(error.detail) from error
        if session.id in alive:
            # The message is older than the sandbox that runs now.
            self.exits.pop(session.id, None)
            return
        ended = _without_old_kills(ended, self.memory_kills.pop(session.id, 0))
        wait = self._budgets[session.id].take(time.monotonic())
        crashed = _crash_event(ended, restarting=wait is not None)
        _log.warning("sandbox.crashed", session_id=session.id, reason=ended.reason, wait_s=wait)
        if wait is None:
            why = f"{ended.detail} It ended too often to be restarted by itself. Restart it."
            await self._move(session.id, "failed", {"ready"}, error=why, before=crashed)
            await self._end(session.id)
            return
        await self._move(session.id, "restarting", {"ready"}, before=crashed)
        self.served.pop(session.id, None)
        self.exits.pop(session.id, None)
        await asyncio.sleep(wait)
        await self._end(session.id)
        await self._restart(intent)

    async def stop(self, session_id: str) -> None:
        """End a sandbox and keep the record."""
        await self._end(session_id)

    async def remove(self, session: Session) -> None:
        """End the sandbox and forget the session; slot and path are free afterwards."""
        await self._end_or_leave(session.id)
        closed = session.model_copy(update={"status": "closing"})
        await self._store.sessions.remove(session.id, [session_event("session.closed", closed)])
        self._budgets.pop(session.id, None)
        self.disk_baselines.pop(session.id, None)
        _log.info("session.closed", session_id=session.id)

    async def reopen(self, session: Session) -> None:
        """Let a session live on whose closing was begun and never finished: it may be unsaved."""
        _log.warning("session.closing_abandoned", session_id=session.id)
        if session.id in self.served:
            await self._move(session.id, "ready", {"closing"})
        else:
            await self._move(session.id, "failed", {"closing"}, error=_CLOSING_ABANDONED)

    async def reap(self, session_id: str) -> None:
        """End a sandbox whose session nobody knows."""
        _log.warning("sandbox.orphan", session_id=session_id)
        await self._end(session_id)
        self._budgets.pop(session_id, None)
        self.disk_baselines.pop(session_id, None)

    async def fail(self, session_id: str, error: JidoError) -> None:
        """Write down that the session has no sandbox, and why."""
        _log.warning("session.failed", session_id=session_id, code=error.code, detail=error.detail)
        expected: set[SessionStatus] = {"starting", "ready", "restarting"}
        await self._move(session_id, "failed", expected, error=error.detail)
        self.served.pop(session_id, None)
        self.exits.pop(session_id, None)

    async def _restart(self, intent: SandboxIntent) -> None:
        """Bring the sandbox up, counting failures as crashes and waiting for a runtime."""
        deadline = time.monotonic() + RUNTIME_AWAY_S
        while True:
            try:
                return await self._bring_up(intent)
            except RuntimeUnavailable:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(RUNTIME_RETRY_S)
            except SandboxStartFailed:
                wait = self._budgets[intent.session_id].take(time.monotonic())
                if wait is None:
                    raise
                await asyncio.sleep(wait)

    async def _bring_up(self, intent: SandboxIntent, *, is_first: bool = False) -> None:
        session_id = intent.session_id
        self.exits.pop(session_id, None)
        began = time.monotonic()
        async with self._starts:
            await self._inspector.verify(intent.project_path, intent.owner_uid, intent.owner_gid)
            try:
                async with asyncio.timeout(START_TIMEOUT_S):
                    path = str(self._channel_path(session_id))
                    await self._runtime.start(self._spec(intent), path)
            except TimeoutError as error:
                raise SandboxStartFailed(
                    f"The sandbox was not ready within {START_TIMEOUT_S:.0f} s. Try again."
                ) from error
            told = await _look_around(session_id, path) if is_first else None
        self.served[session_id] = intent.generation
        self.served_more.set()
        await self._move(session_id, "ready", {"starting", "restarting"}, before=told)
        elapsed_ms = round((time.monotonic() - began) * 1000)
        _log.info("sandbox.ready", session_id=session_id, elapsed_ms=elapsed_ms)

    def _spec(self, intent: SandboxIntent) -> SandboxSpec:
        # A restart must not give a session a fresh allowance of disk.
        baseline = self.disk_baselines.get(intent.session_id)
        return _spec(intent, self._instance_id, baseline)

    async def _end(self, session_id: str) -> None:
        self.served.pop(session_id, None)
        self.exits.pop(session_id, None)
        self.memory_kills.pop(session_id, None)
        await self._runtime.stop(session_id)

    async def _end_or_leave(self, session_id: str) -> None:
        """End the sandbox; one that cannot be ended must not keep its session open for ever."""
        for attempt in range(STOP_ATTEMPTS):
            try:
                return await self._end(session_id)
            except JidoError as error:
                _log.warning("sandbox.not_stopped", session_id=session_id, detail=error.detail)
                if isinstance(error, RuntimeUnavailable):
                    return None
                await asyncio.sleep(0.2 * (attempt + 1))
        return None

    async def _move(
        self,
        session_id: str,
        status: SessionStatus,
        expected: set[SessionStatus],
        *,
        error: str | None = None,
        before: NewEvent | None = None,
    ) -> None:
        """Change the status with its event, `before` first; raises Superseded unless `expected`."""

        def change(session: Session) -> Session:
            if session.status not in expected:
                raise Superseded
            changed = {"status": status, "error": error}
            if status == "ready":
                changed["runtime"] = self._runtime.name
            return session.model_copy(update=changed)

        def events(_old: Session, new: Session) -> list[NewEvent]:
            told = session_event(_EVENTS[status], new)
            return [told] if before is None else [before, told]

        try:
            await self._store.sessions.update(session_id, change, events)
        except (SessionNotFound, SessionNotReady) as gone:
            raise Superseded from gone


async def _look_around(session_id: str, channel_path: str) -> NewEvent | None:
    """Keep what the project is now, for `/diff`, and return what is to be told of it.

    A session lives without either.
    """
    try:
        async with await Channel.connect(channel_path) as channel:
            recorded, writable = await asyncio.gather(
                baseline.record(channel), is_writable(channel)
            )
    except JidoError as error:
        _log.warning("baseline.missing", session_id=session_id, detail=error.detail)
        return None
    _log.debug("baseline.recorded", session_id=session_id, recorded=recorded)
    return None if writable else notice("info", "project_read_only", _READ_ONLY)


def _without_old_kills(ended: SandboxExit, known: int) -> SandboxExit:
    """Return why a sandbox ended, when `known` processes of it were killed before that."""
    if ended.memory_kills is None or ended.memory_kills > known:
        return ended
    detail = f"The sandbox ended with code {ended.exit_code}."
    return replace(ended, reason="exited", detail=detail)


def _crash_event(ended: SandboxExit, *, restarting: bool) -> NewEvent:
    data = {
        "reason": ended.reason,
        "sandbox": "ended",
        "exit_code": ended.exit_code,
        "detail": ended.detail,
        "restarting": restarting,
    }
    return NewEvent(type="sandbox.oom" if ended.reason == "oom" else "sandbox.crashed", data=data)


def _spec(intent: SandboxIntent, instance_id: str, disk_baseline: int | None) -> SandboxSpec:
    return SandboxSpec(
        session_id=intent.session_id,
        instance_id=instance_id,
        project_path=intent.project_path,
        owner_uid=intent.owner_uid,
        owner_gid=intent.owner_gid,
        image=intent.image,
        limits=SandboxLimits(
            memory_bytes=intent.memory_bytes,
            cpus=intent.cpus,
            pids=intent.pids,
            tmpfs_bytes=intent.tmpfs_bytes,
            network=intent.network,
            disk_bytes=intent.disk_bytes,
            disk_warning_bytes=intent.disk_warning_bytes,
        ),
        disk_baseline=disk_baseline,
        oci_runtime=intent.oci_runtime,
    )
