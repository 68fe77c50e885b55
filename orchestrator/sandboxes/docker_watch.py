"""Watching the engine for sandboxes that end unasked.

Owns the set of containers that are meant to be alive and the engine's event
stream, taken up again whenever it breaks. What ended while nobody listened is
found by comparing the two. Refuses to report what was asked to end.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.domain.errors import JidoError
from orchestrator.sandboxes.docker_container import INSTANCE_LABEL, SESSION_LABEL
from orchestrator.sandboxes.docker_engine import Engine, EngineNotFound
from orchestrator.sandboxes.docker_stream import StreamBroken, engine_events
from orchestrator.sandboxes.runtime import SandboxExit

FIRST_RETRY_S: Final = 0.1
"""Seconds before the event stream is taken up again after its first break."""

LAST_RETRY_S: Final = 2.0
"""Seconds that this wait grows to."""

RECENT_S: Final = 3.0
"""Seconds before its end in which a sandbox ran out of memory when it ended for that."""

MAX_WAITING_EXITS: Final = 256
"""Exits that wait for their reader; there are never more sandboxes, so nothing is dropped."""


@dataclass(slots=True)
class Tracked:
    """A container that is meant to be alive."""

    session_id: str
    container_id: str
    out_of_memory_at: float | None = None
    """When the kernel last ended one of its processes for want of memory, as far as was heard."""


class EngineWatch:
    """Knows what should live, and says what does not."""

    def __init__(self, engine: Engine, instance_id: str) -> None:
        """Watch the containers of one installation."""
        self._engine = engine
        self._instance_id = instance_id
        self._tracked: dict[str, Tracked] = {}
        self._exits: asyncio.Queue[SandboxExit | None] = asyncio.Queue(MAX_WAITING_EXITS)
        self._listener: asyncio.Task[None] | None = None
        self._looks: set[asyncio.Task[None]] = set()
        self._closed = False

    def track(self, tracked: Tracked) -> None:
        """Expect this container to live, and look once whether it does already not."""
        self._tracked[tracked.session_id] = tracked
        if self._listener is not None:
            look = asyncio.create_task(self._look(tracked))
            self._looks.add(look)
            look.add_done_callback(self._looks.discard)

    def forget(self, session_id: str) -> None:
        """Expect nothing of this session any more."""
        self._tracked.pop(session_id, None)

    def get(self, session_id: str) -> Tracked | None:
        """Return what is expected of a session, None when nothing is."""
        return self._tracked.get(session_id)

    async def exits(self) -> AsyncIterator[SandboxExit]:
        """Yield exits until `close`; the first reader starts the listening."""
        if self._listener is None and not self._closed:
            self._listener = asyncio.create_task(self._listen(), name="engine-events")
        while not self._closed:
            ended = await self._exits.get()
            if ended is None:
                return
            yield ended

    async def close(self) -> None:
        """End the reader and the stream."""
        self._closed = True
        with suppress(asyncio.QueueFull):
            self._exits.put_nowait(None)
        tasks = [*self._looks, *([self._listener] if self._listener else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self) -> None:
        wait = FIRST_RETRY_S
        while True:
            connected = asyncio.Event()
            # The engine restarts or is away; what happens meanwhile is found afterwards.
            with suppress(StreamBroken, OSError, JidoError):
                await self._follow(connected)
            wait = FIRST_RETRY_S if connected.is_set() else min(wait * 2, LAST_RETRY_S)
            await asyncio.sleep(wait)

    async def _follow(self, connected: asyncio.Event) -> None:
        await self._engine.call(lambda client: client.ping())
        filters = {
            "type": ["container"],
            "event": ["die", "oom"],
            "label": [f"{INSTANCE_LABEL}={self._instance_id}"],
        }
        missed = asyncio.create_task(self._find_missed(connected))
        try:
            async for event in engine_events(
                self._engine.address, self._engine.version, filters, connected
            ):
                await self._handle(event)
        finally:
            missed.cancel()
            await asyncio.gather(missed, return_exceptions=True)

    async def _find_missed(self, connected: asyncio.Event) -> None:
        """Report what ended before the stream was connected."""
        await connected.wait()
        for tracked in list(self._tracked.values()):
            await self._report_if_dead(tracked)

    async def _look(self, tracked: Tracked) -> None:
        # When the engine is away, the stream breaks too and looks after it is back.
        with suppress(JidoError):
            await self._report_if_dead(tracked)

    async def _handle(self, event: dict[str, Any]) -> None:
        actor = event.get("Actor") or {}
        session_id = (actor.get("Attributes") or {}).get(SESSION_LABEL, "")
        tracked = self._tracked.get(session_id)
        if tracked is None or tracked.container_id != actor.get("ID"):
            return
        if event.get("Action") == "oom":
            tracked.out_of_memory_at = time.monotonic()
        elif event.get("Action") == "die":
            await self._report_if_dead(tracked)

    async def _report_if_dead(self, tracked: Tracked) -> None:
        try:
            seen = await self._engine.call(
                lambda client: client.inspect_container(tracked.container_id)
            )
        except EngineNotFound:
            await self._report(tracked, None)
            return
        if not seen["State"].get("Running"):
            await self._report(tracked, seen["State"])

    async def _report(self, tracked: Tracked, state: dict[str, Any] | None) -> None:
        if self._tracked.get(tracked.session_id) is not tracked:
            return
        self.forget(tracked.session_id)
        await self._exits.put(_exit(tracked, state))


def _exit(tracked: Tracked, state: dict[str, Any] | None) -> SandboxExit:
    if state is None:
        return SandboxExit(
            tracked.session_id, "gone", None, "The sandbox was removed by somebody else."
        )
    code = int(state.get("ExitCode", 0))
    if code == 137 and _ran_out(tracked, state):
        return SandboxExit(tracked.session_id, "oom", code, "The sandbox ran out of memory.")
    return SandboxExit(tracked.session_id, "exited", code, f"The sandbox ended with code {code}.")


def _ran_out(tracked: Tracked, state: dict[str, Any]) -> bool:
    """Say whether memory ended it; a process that ran out long ago says nothing about that."""
    heard_at = tracked.out_of_memory_at
    if heard_at is None:
        # The engine's own mark never goes away; it counts when nothing was heard before.
        return bool(state.get("OOMKilled"))
    return time.monotonic() - heard_at < RECENT_S
