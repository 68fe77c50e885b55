"""The stack itself: start in order, keep running, stop in order.

Owns the order (store, then the three processes; backwards at the end, sessions saved
first) and when the stack ends: at a signal, at `jido down`, or, when it was started
by a client, once no client is left.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from orchestrator import __version__
from orchestrator.domain.errors import JidoError
from orchestrator.local.child import Child
from orchestrator.local.control import Control
from orchestrator.local.errors import StackFailed
from orchestrator.local.home import ensure_token
from orchestrator.local.http import Api
from orchestrator.local.programs import process_programs
from orchestrator.local.readiness import close_sessions, unready
from orchestrator.local.state import StackState, process_start, remove_state, write_state
from orchestrator.local.valkey import answers, check_redis, valkey_program
from orchestrator.settings import Settings

_READY_S: Final = 60.0
"""Seconds within which everything must be ready."""
_POLL_S: Final = 0.03
"""Seconds between looks while starting."""
_ATTEMPTS: Final = 3
"""Failed starts in a row of one child after which the whole start is given up."""
_SAVE_S: Final = 25.0
"""Seconds in which the sessions are saved and closed at the end."""
_GRACE_S: Final = 10.0
"""Seconds a child has to end before it is killed."""
_HOUSEKEEPING_S: Final = 30.0
"""Seconds between looks at the length of the logs."""


class Stack:
    """One embedded stack, from lock to last child."""

    def __init__(self, settings: Settings, listener: socket.socket, *, tied: bool) -> None:
        """Serve on `listener`; a `tied` stack ends when standard input and all users have ended."""
        self._settings = settings
        self._listener = listener
        self._tied = tied
        self._starter_gone = not tied
        self._stop = asyncio.Event()
        self._tell: Callable[[str], None] = lambda line: None
        self._control = Control(
            settings.run_path / "stack.sock", self._users_changed, self._stop.set
        )
        host, port = listener.getsockname()[:2]
        self.url = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"
        self._api = Api(self.url, ensure_token(settings))

    async def run(self, tell: Callable[[str], None]) -> None:
        """Start, tell `ready URL`, run until the end, stop; raises StackFailed."""
        self._tell = tell
        self._watch_signals()
        async with contextlib.AsyncExitStack() as cleanup:
            await self._announce(cleanup)
            if self._settings.redis_url is None:
                await self._start_valkey(cleanup)
            else:
                await check_redis(self._settings)
            children = [
                await cleanup.enter_async_context(_running(Child(program)))
                for program in process_programs(self._settings, self._listener.fileno())
            ]
            if await self._until_ready(children):
                tell(f"ready {self.url}")
                await self._until_stopped(children)
            remove_state(self._settings)
            self._control.refuse()
            await self._close_sessions()

    async def _announce(self, cleanup: contextlib.AsyncExitStack) -> None:
        await self._control.open()
        cleanup.callback(self._control.close)
        if self._tied:
            await _when_closed(sys.stdin.fileno(), self._starter_left)
        state = StackState(
            pid=os.getpid(),
            started=process_start(os.getpid()) or 0,
            url=self.url,
            control=str(self._settings.run_path / "stack.sock"),
            version=__version__,
        )
        write_state(self._settings, state)
        cleanup.callback(remove_state, self._settings)

    async def _start_valkey(self, cleanup: contextlib.AsyncExitStack) -> None:
        child = await cleanup.enter_async_context(_running(Child(valkey_program(self._settings))))

        async def loaded() -> bool:
            return await answers(self._settings.embedded_redis_socket)

        await self._wait(loaded, [child])

    async def _until_ready(self, children: list[Child]) -> bool:
        """Wait until requests are taken; False when the stack was asked to stop meanwhile."""
        reason = "The stack is not ready."

        async def ready() -> bool:
            nonlocal reason
            fault = await asyncio.to_thread(unready, self._api)
            if fault is not None and fault.lasting:
                raise StackFailed(fault.reason)
            reason = fault.reason if fault is not None else ""
            return fault is None

        try:
            return await self._wait(ready, children)
        except TimeoutError:
            raise StackFailed(f"Not ready after {_READY_S:.0f} seconds: {reason}") from None

    async def _wait(self, condition: Callable[[], Awaitable[bool]], children: list[Child]) -> bool:
        """Wait for `condition`; False when asked to stop, StackFailed when a child cannot start."""
        async with asyncio.timeout(_READY_S):
            while not self._stop.is_set():
                if await condition():
                    return True
                for child in children:
                    if child.failures >= _ATTEMPTS:
                        raise StackFailed(
                            f"The {child.program.name} does not start: {child.reason()}"
                        )
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_POLL_S):
                        await self._stop.wait()
        return False

    async def _until_stopped(self, children: list[Child]) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_HOUSEKEEPING_S):
                    await self._stop.wait()
            for child in children:
                await asyncio.to_thread(child.rotate)

    async def _close_sessions(self) -> None:
        """Save and close what is open; a stack that cannot any more leaves it to the next start."""
        with contextlib.suppress(JidoError, TimeoutError):
            async with asyncio.timeout(_SAVE_S):
                await asyncio.to_thread(close_sessions, self._api)

    def _watch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._stop.set)

    def _starter_left(self) -> None:
        self._starter_gone = True
        if self._control.users:
            self._tell("kept")
        self._users_changed()

    def _users_changed(self) -> None:
        if self._tied and self._starter_gone and self._control.users == 0:
            self._stop.set()


@contextlib.asynccontextmanager
async def _running(child: Child) -> AsyncIterator[Child]:
    """Keep `child` running inside the block; it has ended after it."""
    task = asyncio.create_task(child.run(), name=child.program.name)
    try:
        yield child
    finally:
        await child.stop(_GRACE_S)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _when_closed(descriptor: int, call: Callable[[], None]) -> None:
    """Call `call` once the other end of the pipe `descriptor` is closed; its bytes are ignored."""

    class _Closed(asyncio.Protocol):
        def connection_lost(self, error: Exception | None) -> None:
            call()

    pipe = os.fdopen(os.dup(descriptor), "rb", buffering=0)
    await asyncio.get_running_loop().connect_read_pipe(_Closed, pipe)
