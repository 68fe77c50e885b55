"""The scene of one run: a temporary home, projects, an embedded stack and a client of it.

Owns that nothing is left of it, whatever happens: the stack is tied to this process by a
pipe, and the directory goes with the block.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from orchestrator.local.home import ensure_token
from orchestrator.local.launch import Lease, start_stack
from orchestrator.settings import Settings, load_settings
from scripts.bench.clock import since
from scripts.bench.figures import Figure

WAIT_S = 60.0
"""Seconds any request may take."""


@dataclass
class Scene:
    """One stack with one runtime, and what is to be measured on it."""

    runtime: str
    """docker or bubblewrap."""
    quick: bool
    base: Path
    settings: Settings
    lease: Lease
    client: httpx.AsyncClient
    started_ms: float
    """Milliseconds from the start of the stack until it was ready."""
    provider_url: str
    figures: list[Figure]
    failures: list[str]
    """What could not be measured, in words; a run with any has not measured all."""
    _projects: int = field(default=0)

    @property
    def stack_pid(self) -> int:
        """The process all others of the stack descend from."""
        assert self.lease.own is not None
        return self.lease.own.process.pid

    def rounds(self, full: int, quick: int) -> int:
        """Return how often to measure."""
        return quick if self.quick else full

    def project(self) -> Path:
        """Make an empty project."""
        self._projects += 1
        path = self.base / "projects" / f"p{self._projects:03}"
        path.mkdir(parents=True)
        return path

    async def open_session(self, project: Path | None = None) -> dict[str, Any]:
        """Create a session and wait until it is ready; raises RuntimeError when it is not."""
        body = {"project_path": str(project or self.project())}
        creating = asyncio.ensure_future(self.client.post("/v1/sessions?wait=ready", json=body))
        try:
            answer = await asyncio.shield(creating)
        except asyncio.CancelledError:
            # What is asked for will be there: the stack must find it when it closes sessions.
            await asyncio.wait({creating})
            raise
        answer.raise_for_status()
        session: dict[str, Any] = answer.json()
        if session["status"] != "ready":
            raise RuntimeError(f"session {session['status']}: {session.get('error')}")
        return session

    async def close_session(self, session: dict[str, Any]) -> None:
        """Close a session without saving it."""
        answer = await self.client.delete(f"/v1/sessions/{session['id']}?save=false")
        answer.raise_for_status()

    @contextlib.asynccontextmanager
    async def session(self, project: Path | None = None) -> AsyncIterator[dict[str, Any]]:
        """Hold a session that is ready for the length of the block."""
        session = await self.open_session(project)
        try:
            yield session
        finally:
            await self.close_session(session)

    @contextlib.asynccontextmanager
    async def sessions(self, count: int) -> AsyncIterator[list[dict[str, Any]]]:
        """Hold several sessions for the length of the block."""
        async with contextlib.AsyncExitStack() as opened:
            yield [await opened.enter_async_context(self.session()) for _ in range(count)]


def temporary_base() -> Path:
    """Make a directory for everything of one run."""
    base = Path(os.path.realpath(tempfile.mkdtemp(prefix="jido-bench-")))
    # Projects may belong to somebody else than who measures.
    base.chmod(0o755)
    return base


@contextlib.asynccontextmanager
async def scene(
    runtime: str,
    *,
    quick: bool,
    provider_url: str,
    figures: list[Figure],
    failures: list[str],
) -> AsyncIterator[Scene]:
    """Start a stack of its own and wait until it is ready; raises JidoError."""
    base = temporary_base()
    try:
        settings = load_settings(home=base / "home", runtime=runtime)
        environment = {
            "JIDO_HOME": str(settings.home),
            "JIDO_RUNTIME": runtime,
            "JIDO_PROJECT_ROOTS": str(base / "projects"),
            "JIDO_MODEL": "openai:bench",
            "JIDO_OPENAI_BASE_URL": provider_url,
            "OPENAI_API_KEY": "bench",
        }
        (base / "projects").mkdir()
        start = time.perf_counter()
        lease = start_stack(settings, 0, environment)
        try:
            assert lease.own is not None
            await asyncio.to_thread(lease.own.wait_ready)
            headers = {"authorization": f"Bearer {ensure_token(settings)}"}
            client = httpx.AsyncClient(base_url=lease.url, headers=headers, timeout=WAIT_S)
            async with client:
                ready_ms = since(start)
                yield Scene(
                    runtime=runtime,
                    quick=quick,
                    base=base,
                    settings=settings,
                    lease=lease,
                    client=client,
                    started_ms=ready_ms,
                    provider_url=provider_url,
                    figures=figures,
                    failures=failures,
                )
        finally:
            # Sessions that are still open are closed by the stack as it ends.
            lease.release()
    finally:
        shutil.rmtree(base, ignore_errors=True)
