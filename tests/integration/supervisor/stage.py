"""A supervisor with a store, projects and sessions to look at."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestrator.domain.events import Event, NewEvent
from orchestrator.domain.ids import new_id
from orchestrator.domain.models import SessionConfig
from orchestrator.domain.session import Session, SessionStatus
from orchestrator.sandboxes.channel import Channel
from orchestrator.sandboxes.errors import ChannelClosed
from orchestrator.settings import Settings, load_settings
from orchestrator.store.facade import Store
from orchestrator.store.intents import SandboxIntent
from orchestrator.supervisor.main import run_supervisor
from orchestrator.wiring import find_runtime
from tests.support.requirements import SANDBOX_IMAGE

TIMEOUT_S = 30.0
"""Seconds a thing may take that ought to happen."""

_PROGRAM = """
import asyncio, sys
from orchestrator.settings import load_settings
from orchestrator.supervisor.main import run_supervisor
from orchestrator.wiring import find_runtime
asyncio.run(run_supervisor(load_settings()))
"""


@dataclass
class Stage:
    """One installation under test."""

    base: Path
    store: Store
    redis_url: str
    runtime: str
    changes: dict[str, Any] = field(default_factory=dict)
    """Settings that differ from the usual ones."""
    _stop: asyncio.Event | None = None
    _task: asyncio.Task[None] | None = None
    _process: subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> Settings:
        """Settings of the installation."""
        given: dict[str, Any] = {
            "home": self.base / "home",
            "redis_url": self.redis_url,
            "project_roots": str(self.base / "projects"),
            "run_directory": self.base / "run",
            "runtime": self.runtime,
            "log_level": "info",
            "sandbox_image": SANDBOX_IMAGE,
        }
        return load_settings(**(given | self.changes))

    @property
    def pid(self) -> int:
        """Process id of a supervisor of its own process."""
        assert self._process is not None
        return self._process.pid

    def project(self, name: str) -> Path:
        """Make a project directory."""
        path = self.base / "projects" / name
        path.mkdir(parents=True)
        (path / "README.md").write_text(f"This is {name}.\n")
        return path

    async def start(self) -> None:
        """Run the supervisor within this process."""
        self._stop = asyncio.Event()
        self._task = asyncio.create_task(run_supervisor(self.settings, self._stop))

    async def stop(self) -> None:
        """Ask it to end and wait; raises what it died of."""
        if self._task is not None and self._stop is not None:
            self._stop.set()
            task, self._task = self._task, None
            await asyncio.wait_for(task, TIMEOUT_S)
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(self._process.wait, TIMEOUT_S) == 0
            self._process = None

    async def start_process(self) -> None:
        """Run the supervisor as a process of its own, which can be killed."""
        settings = self.settings
        environment = {
            **os.environ,
            "JIDO_HOME": str(settings.home),
            "JIDO_SANDBOX_IMAGE": settings.sandbox_image,
            "JIDO_REDIS_URL": self.redis_url,
            "JIDO_PROJECT_ROOTS": settings.project_roots,
            "JIDO_RUN_DIRECTORY": str(settings.run_path),
            "JIDO_RUNTIME": self.runtime,
        }
        self._process = await asyncio.to_thread(
            subprocess.Popen,
            [sys.executable, "-c", _PROGRAM],
            env=environment,
            cwd=Path(__file__).parents[3],
            stderr=subprocess.DEVNULL,
        )

    async def kill(self) -> None:
        """End that process as a crash would."""
        assert self._process is not None
        self._process.kill()
        await asyncio.to_thread(self._process.wait)
        self._process = None
        await self.store.presence.withdraw("supervisor")

    async def inspect(self, path: Path | str | None) -> dict[str, Any]:
        """Ask the supervisor about a directory."""
        asked = None if path is None else str(path)
        return await self.store.requests.call("inspect_path", {"path": asked}, TIMEOUT_S)

    async def claim(self, project: Path, **changes: Any) -> Session:
        """Ask for a session of `project`; returns at once."""
        moment = datetime.now(UTC)
        status = project.stat()
        session = Session(
            id=new_id(),
            name=project.name,
            project_path=str(project),
            config=SessionConfig(),
            created_at=moment,
            updated_at=moment,
        )
        wanted: dict[str, Any] = {
            "session_id": session.id,
            "project_path": str(project),
            "owner_uid": status.st_uid,
            "owner_gid": status.st_gid,
            "image": self.settings.sandbox_image,
            "memory_bytes": 256 * 1024**2,
            "cpus": 1.0,
            "pids": 64,
        }
        created = NewEvent(type="session.created", data={})
        intent = SandboxIntent(**(wanted | changes))
        return await self.store.sessions.claim(session, intent, 100, [created])

    async def open(self, name: str) -> Session:
        """Make a project and a session of it, and wait until it is ready."""
        session = await self.claim(self.project(name))
        return await self.reaches(session.id, "ready")

    async def close(self, session_id: str) -> None:
        """Ask for the session's end, as the services do, and wait for it."""
        await self.ask_to_close(session_id)
        await self.gone(session_id)

    async def ask_to_close(self, session_id: str) -> None:
        """Ask for the session's end."""

        def closing(session: Session) -> Session:
            return session.model_copy(update={"status": "closing"})

        await self.store.sessions.update(session_id, closing, lambda _old, _new: [])
        await self.store.sessions.set_desired(session_id, "stopped")

    async def restart(self, session_id: str) -> None:
        """Ask for a fresh sandbox, as the services do."""

        def restarting(session: Session) -> Session:
            return session.model_copy(update={"status": "restarting"})

        await self.store.sessions.update(session_id, restarting, lambda _old, _new: [])
        await self.store.sessions.set_desired(session_id, "running", bump=True)

    async def reaches(self, session_id: str, status: SessionStatus) -> Session:
        """Wait until the session has `status`."""

        async def there() -> bool:
            return (await self.store.sessions.get(session_id)).status == status

        await self.until(there, f"session {status}")
        return await self.store.sessions.get(session_id)

    async def gone(self, session_id: str) -> None:
        """Wait until the session is gone."""

        async def away() -> bool:
            return await self.store.sessions.find(session_id) is None

        await self.until(away, "session gone")

    async def announced(self) -> dict[str, Any]:
        """Wait for the supervisor's announcement."""

        async def there() -> bool:
            return await self.store.presence.present("supervisor") is not None

        await self.until(there, "announcement")
        return await self.store.presence.present("supervisor") or {}

    async def events(self, session_id: str) -> list[Event]:
        """Return the session's story."""
        return await self.store.events.read(session_id, 0, 1000)

    async def types(self, session_id: str) -> list[str]:
        """Return the types of the session's story."""
        return [event.type for event in await self.events(session_id)]

    async def sees(self, session_id: str) -> list[str]:
        """Return the names that the session's sandbox sees in its project."""
        path = str(self.settings.channel_path(session_id))
        async with await Channel.connect(path, TIMEOUT_S) as channel:
            reply = await channel.request("list", {"path": "."}, timeout_s=TIMEOUT_S)
        return sorted(entry["name"] for entry in json.loads(reply.payload))

    async def reachable(self, session_id: str) -> bool:
        """Say whether the session's channel answers now."""
        try:
            await self.sees(session_id)
        except ChannelClosed:
            return False
        return True

    async def alive(self) -> set[str]:
        """Return the sessions that have a living sandbox, as the runtime itself says."""
        settings = self.settings
        runtime = await find_runtime(settings, (settings.home / "instance").read_text().strip())
        try:
            return {each.session_id for each in await runtime.running()}
        finally:
            await runtime.close()

    async def kill_sandbox(self, session_id: str) -> None:
        """End everything in the sandbox from within, as a runaway command would."""
        path = str(self.settings.channel_path(session_id))
        with suppress(ChannelClosed):
            async with await Channel.connect(path, TIMEOUT_S) as channel:
                await channel.request("run", {"shell": "kill -9 -1"}, timeout_s=TIMEOUT_S)

    @staticmethod
    async def until(true: Callable[[], Awaitable[bool]], what: str) -> None:
        """Wait until `true` says so."""
        deadline = time.monotonic() + TIMEOUT_S
        while not await true():
            assert time.monotonic() < deadline, f"{what}: not within {TIMEOUT_S:.0f} s"
            await asyncio.sleep(0.02)
