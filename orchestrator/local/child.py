"""One child process: started, its output kept, restarted with back-off, ended for good.

Owns the process and everything in its process session: what a killed child leaves
behind is ended before the next one starts.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from orchestrator.local import tether
from orchestrator.local.state import session_members

_FIRST_PAUSE_S: Final = 0.1
"""Seconds before the first restart; doubled by each that follows at once."""
_LONGEST_PAUSE_S: Final = 5.0
"""Seconds between restarts at most."""
_STEADY_S: Final = 30.0
"""Seconds of running after which a child counts as healthy again."""
_MAX_LOG_BYTES: Final = 8_388_608
"""Bytes of one log before it is set aside; one older log is kept."""
_OWN_WORDS: Final = "jido: "
"""Beginning of the line in which a command of ours says why it failed."""
_TAIL_BYTES: Final = 8192
"""Bytes at the end of a log in which the reason of a failure is looked for."""


@dataclass(frozen=True)
class Program:
    """What a child runs."""

    name: str
    arguments: Sequence[str]
    environment: dict[str, str]
    log: Path
    """File that takes its standard output and error."""
    inherit: tuple[int, ...] = ()
    """Descriptors it keeps open."""
    directory: Path | None = None
    """Working directory; None keeps ours."""
    before: Callable[[], None] | None = field(default=None, compare=False)
    """Called before each start; None does nothing."""


class Child:
    """One program that is kept running until it is stopped."""

    def __init__(self, program: Program) -> None:
        """Keep `program`; nothing runs before `run`."""
        self.program = program
        self.failures = 0
        """Ends in a row without a steady time between them."""
        self.failed = asyncio.Event()
        """Set at each unexpected end."""
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """Process number; None while none runs."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def run(self) -> None:
        """Start the program, and again whenever it ends, until `stop`."""
        while not self._stopping.is_set():
            started = time.monotonic()
            with contextlib.suppress(OSError):
                # A machine short of memory or descriptors refuses; the pause below follows.
                await self._run_once()
            if self._stopping.is_set():
                return
            self.failures = 1 if time.monotonic() - started > _STEADY_S else self.failures + 1
            self.failed.set()
            await asyncio.sleep(min(_FIRST_PAUSE_S * 2 ** (self.failures - 1), _LONGEST_PAUSE_S))

    async def _run_once(self) -> None:
        self._process = await self._start()
        if self._stopping.is_set():
            # Asked to stop while the start was under way.
            self._signal(signal.SIGTERM)
        await self._process.wait()
        await self._sweep(self._process.pid)

    async def stop(self, grace_s: float) -> None:
        """End the program: SIGTERM, and SIGKILL after `grace_s` seconds; gone is success."""
        self._stopping.set()
        process = self._process
        if process is None or process.returncode is not None:
            return
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(grace_s):
                await process.wait()
        except TimeoutError:
            self._signal(signal.SIGKILL)
            await process.wait()
        await self._sweep(process.pid)

    def reason(self) -> str:
        """Return the last line it logged, or where its log is."""
        with contextlib.suppress(OSError), self.program.log.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
            lines = [line.strip() for line in file.read().decode(errors="replace").splitlines()]
            said = [line for line in lines if line.startswith(_OWN_WORDS)]
            if said:
                return said[-1].removeprefix(_OWN_WORDS)[:500]
            if any(lines):
                return [line for line in lines if line][-1][:500]
        return f"see {self.program.log}"

    def rotate(self) -> None:
        """Set the log aside when it is too long; the child goes on writing to the same file."""
        log = self.program.log
        with contextlib.suppress(OSError):
            if log.stat().st_size <= _MAX_LOG_BYTES:
                return
            older = log.with_suffix(".log.1")
            older.write_bytes(log.read_bytes()[-_MAX_LOG_BYTES:])
            older.chmod(0o600)
            os.truncate(log, 0)

    async def _start(self) -> asyncio.subprocess.Process:
        program = self.program
        if program.before is not None:
            program.before()
        log = os.open(program.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", tether.__file__, str(os.getpid())),
                *program.arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=program.environment,
                cwd=program.directory,
                pass_fds=program.inherit,
                # Of its own session: Ctrl+C reaches the parent alone, which stops in order.
                start_new_session=True,
            )
        finally:
            os.close(log)

    def _signal(self, number: signal.Signals) -> None:
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def _sweep(self, session: int) -> None:
        """End what the child left running in its process session."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            members = await asyncio.to_thread(session_members, session)
            if not members:
                return
            for member in members:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(member, number)
            for _ in range(20):
                await asyncio.sleep(0.05)
                if not await asyncio.to_thread(session_members, session):
                    return
