"""A runtime that isolates nothing: the real tool server as a plain child process.

For tests of those who need sandboxes that start, serve and end, on any machine. Never
for a test of what a sandbox must prevent.
"""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from pathlib import Path

from orchestrator.sandboxes.runtime import RunningSandbox, SandboxExit, SandboxSpec
from orchestrator.sandboxes.runtime_errors import SandboxStartFailed
from tests.support.toolserver import SERVER, lua_command

_START_TIMEOUT_S = 20.0


class ProcessRuntime:
    """Starts and ends tool servers."""

    name = "bubblewrap"
    """A session's record admits only names of real runtimes."""

    def __init__(self, instance_id: str) -> None:
        """Belong to an installation."""
        self._instance_id = instance_id
        self._processes: dict[str, Process] = {}
        self._watchers: dict[str, asyncio.Task[None]] = {}
        self._exits: asyncio.Queue[SandboxExit] = asyncio.Queue()

    async def check(self) -> None:
        """Processes can always be started."""

    async def start(self, spec: SandboxSpec, socket_path: str) -> None:
        """Start a tool server on the project; one that asks for it fails."""
        if (Path(spec.project_path) / "refuse-to-start").exists():
            raise SandboxStartFailed("The project asks for a failed start.")
        if spec.session_id in self._processes:
            return
        Path(socket_path).unlink(missing_ok=True)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(SERVER), "--root", spec.project_path),
            *("--unix", socket_path, "--lua-command", *lua_command()),
            stdin=asyncio.subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
        )
        try:
            await _listening(process, socket_path)
        except BaseException:
            process.kill()
            await process.wait()
            raise
        self._processes[spec.session_id] = process
        self._watchers[spec.session_id] = asyncio.create_task(self._watch(spec.session_id))

    async def stop(self, session_id: str) -> None:
        """End a tool server."""
        process = self._processes.pop(session_id, None)
        if process is not None:
            self._watchers.pop(session_id).cancel()
            process.kill()
            await process.wait()

    async def running(self) -> list[RunningSandbox]:
        """List them."""
        return [RunningSandbox(each, self._instance_id) for each in self._processes]

    async def adopt(self, session_id: str, socket_path: str) -> bool:
        """Nothing of an earlier process is ever alive."""
        return session_id in self._processes

    async def exits(self) -> AsyncIterator[SandboxExit]:
        """Yield those that ended unasked."""
        while True:
            yield await self._exits.get()

    async def close(self) -> None:
        """End all."""
        for session_id in list(self._processes):
            await self.stop(session_id)

    def pid(self, session_id: str) -> int:
        """Process id of a tool server, to kill it."""
        return self._processes[session_id].pid

    async def _watch(self, session_id: str) -> None:
        code = await self._processes[session_id].wait()
        del self._processes[session_id], self._watchers[session_id]
        self._exits.put_nowait(SandboxExit(session_id, "exited", code, "It ended."))


async def _listening(process: Process, socket_path: str) -> None:
    async with asyncio.timeout(_START_TIMEOUT_S):
        while True:
            assert process.returncode is None, "the tool server ended at its start"
            try:
                _, writer = await asyncio.open_unix_connection(socket_path)
            except OSError:
                await asyncio.sleep(0.005)
                continue
            writer.close()
            await writer.wait_closed()
            return
