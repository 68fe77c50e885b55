"""The runtime in use, or the reason why there is none yet.

Owns finding it again and again: a machine without an engine may get one while
the supervisor waits. Until then every start fails with the reason, so that
nobody waits for a sandbox that cannot come. Refuses to choose: `wiring` does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import structlog

from orchestrator.domain.errors import JidoError
from orchestrator.sandboxes.runtime import RunningSandbox, SandboxExit, SandboxRuntime, SandboxSpec
from orchestrator.sandboxes.runtime_errors import RuntimeUnavailable

RETRY_S: Final = 3.0
"""Seconds between attempts to find a runtime, or to see a failed one answer again."""

_log = structlog.get_logger(__name__)


class CurrentRuntime:
    """A SandboxRuntime that stands for whichever one was found."""

    def __init__(self, find: Callable[[], Awaitable[SandboxRuntime]]) -> None:
        """Keep how to find one that passed its check; nothing is tried before `keep`."""
        self._find = find
        self._runtime: SandboxRuntime | None = None
        self._found = asyncio.Event()
        self._error: JidoError | None = RuntimeUnavailable(
            "The supervisor is still looking for a sandbox runtime. Try again in a moment."
        )
        self.tried = asyncio.Event()
        """Set once the first attempt to find a runtime has ended, either way."""
        self.changed = asyncio.Event()
        """Set by each change of `error`; whoever reads it takes it down."""

    @property
    def name(self) -> str:
        """Name of the runtime; empty while there is none."""
        return self._runtime.name if self._runtime else ""

    @property
    def error(self) -> JidoError | None:
        """Why no sandbox can be started now; None when one can."""
        return self._error

    async def keep(self) -> None:
        """Find a runtime and notice when it fails or answers again, until cancelled."""
        while True:
            if self._runtime is None or self._error is not None:
                await self._try()
                self.tried.set()
            await asyncio.sleep(RETRY_S)

    def failed(self, error: JidoError) -> None:
        """Take note that the runtime itself did not answer."""
        self._set(error)

    async def check(self) -> None:
        """Ask the runtime; raises why there is none."""
        await self._need().check()

    async def start(self, spec: SandboxSpec, socket_path: str) -> None:
        """Start a sandbox; raises why none can be started."""
        await self._noticing(self._need().start(spec, socket_path))

    async def stop(self, session_id: str) -> None:
        """Stop a sandbox; raises RuntimeUnavailable when nobody can tell."""
        await self._noticing(self._need().stop(session_id))

    async def running(self) -> list[RunningSandbox]:
        """List living sandboxes; raises RuntimeUnavailable when nobody can tell."""
        runtime = self._need()
        try:
            return await runtime.running()
        except RuntimeUnavailable as error:
            self._set(error)
            raise

    async def adopt(self, session_id: str, socket_path: str) -> bool:
        """Serve a sandbox of an earlier process; raises RuntimeUnavailable when nobody can tell."""
        return await self._need().adopt(session_id, socket_path)

    async def exits(self) -> AsyncIterator[SandboxExit]:
        """Yield sandboxes that end unasked, from the time a runtime was found."""
        await self._found.wait()
        async for ended in self._need_found().exits():
            yield ended

    async def close(self) -> None:
        """Release the runtime; sandboxes go on running."""
        if self._runtime is not None:
            await self._runtime.close()

    async def _try(self) -> None:
        try:
            if self._runtime is None:
                self._runtime = await self._find()
                self._found.set()
                _log.info("runtime.found", runtime=self._runtime.name)
            else:
                await self._runtime.check()
        except JidoError as error:
            self._set(error)
        else:
            self._set(None)

    def _set(self, error: JidoError | None) -> None:
        before, self._error = self._error, error
        if (before and before.detail) != (error and error.detail):
            if error is not None:
                _log.warning("runtime.unavailable", code=error.code, detail=error.detail)
            self.changed.set()

    def _need(self) -> SandboxRuntime:
        if self._runtime is None:
            raise self._error or RuntimeUnavailable("There is no sandbox runtime. Try again.")
        return self._runtime

    def _need_found(self) -> SandboxRuntime:
        assert self._runtime is not None
        return self._runtime

    async def _noticing(self, work: Awaitable[None]) -> None:
        try:
            await work
        except RuntimeUnavailable as error:
            self._set(error)
            raise
