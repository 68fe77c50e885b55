"""A stage for turns: real Valkey, a real tool server, a real worker process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestrator.domain.events import Event
from orchestrator.domain.ids import new_id
from orchestrator.domain.models import SessionConfig, parse_model
from orchestrator.domain.session import Session
from orchestrator.domain.turn import FINAL_STATUSES, Turn, TurnLimits
from orchestrator.services.turns import TurnService
from orchestrator.settings import Settings
from orchestrator.store.facade import Store
from orchestrator.store.intents import SandboxIntent
from tests.support.toolserver import ToolServer

_WORK = """
from orchestrator.settings import load_settings
from orchestrator.worker.pool import run_worker
run_worker(load_settings())
"""
WAIT_S = 30.0


async def until(condition: Callable[[], Any], what: str, timeout_s: float = WAIT_S) -> Any:
    """Wait until `condition`, awaited if need be, is true, and return what it gave."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        value = condition()
        if asyncio.iscoroutine(value):
            value = await value
        if value:
            return value
        await asyncio.sleep(0.02)
    raise AssertionError(f"waited in vain: {what}")


@dataclass
class Stage:
    """Everything a turn needs but the supervisor and the api."""

    settings: Settings
    store: Store
    log: Path

    async def session(
        self, server: ToolServer, model: str = "offline:demo", approval: str | None = None
    ) -> Session:
        """Make a session that is ready, with `server` behind its channel."""
        moment = datetime.now(UTC)
        provider, name = parse_model(model)
        session = Session(
            id=new_id(),
            name="stage",
            project_path=str(server.root),
            config=SessionConfig(provider=provider, model=name),
            created_at=moment,
            updated_at=moment,
        )
        intent = SandboxIntent(
            session_id=session.id,
            project_path=session.project_path,
            owner_uid=os.getuid(),
            owner_gid=os.getgid(),
            image="none",
            memory_bytes=1 << 30,
            cpus=1,
            pids=100,
        )
        await self.store.sessions.claim(session, intent, 100, [], approval=approval)
        path = self.settings.channel_path(session.id)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(server.socket_path)
        return await self.store.sessions.update(
            session.id, lambda s: s.model_copy(update={"status": "ready"}), lambda _a, _b: []
        )

    async def prompt(self, session: Session, prompt: str, limits: TurnLimits | None = None) -> Turn:
        """Accept a prompt, as the api does."""
        service = TurnService(self.store)
        if limits is None:
            return await service.submit(session.id, prompt, None)
        return await service.submit(session.id, prompt, None, limits)

    async def over(self, turn: Turn, timeout_s: float = WAIT_S) -> Turn:
        """Wait until a turn is over."""

        async def final() -> Turn | None:
            now = await self.store.turns.get(turn.session_id, turn.id)
            return now if now.status in FINAL_STATUSES else None

        try:
            result: Turn = await until(final, "the end of the turn", timeout_s)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log.read_text()[-4000:]}") from None
        return result

    async def status(self, turn: Turn, status: str, timeout_s: float = WAIT_S) -> Turn:
        """Wait until a turn has `status`."""

        async def reached() -> Turn | None:
            now = await self.store.turns.get(turn.session_id, turn.id)
            return now if now.status == status else None

        result: Turn = await until(reached, f"status {status}", timeout_s)
        return result

    async def events(self, session: Session) -> list[Event]:
        """Return the session's whole story."""
        return await self.store.events.read(session.id, 0, 10_000)

    async def seen(self, session: Session, kind: str, timeout_s: float = WAIT_S) -> Event:
        """Wait for the first event of a kind."""

        async def first() -> Event | None:
            return next((e for e in await self.events(session) if e.type == kind), None)

        result: Event = await until(first, f"an event {kind}", timeout_s)
        return result


class WorkerProcess:
    """`run_worker` in a process of its own."""

    def __init__(self, home: Path, environment: Mapping[str, str], log: Path) -> None:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("JIDO_")}
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _WORK],
                env={**inherited, "JIDO_HOME": str(home), **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    @property
    def pid(self) -> int:
        """Of the process that forks."""
        return self._process.pid

    def stop(self, number: int = signal.SIGTERM, timeout_s: float = 30) -> int:
        """Ask it to end and return its exit code."""
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise

    def descendants(self) -> list[int]:
        """Return the processes below it, children first."""
        found: list[int] = []
        waiting = [self.pid]
        while waiting:
            pid = waiting.pop()
            children = children_of(pid)
            found += children
            waiting += children
        return found


def children_of(pid: int) -> list[int]:
    """Return the direct children of a process; empty when it is gone."""
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [int(child) for child in text.split()]
    return []


def alive(pid: int) -> bool:
    """Say whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
