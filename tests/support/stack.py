"""An embedded stack as a person starts it: `jido up` in a home of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from orchestrator.wire.sse import Decoder
from tests.support.requirements import SANDBOX_IMAGE

REPOSITORY = Path(__file__).resolve().parents[2]
READY_S = 90.0
"""Seconds a stack may take on a busy machine."""


@dataclass(frozen=True)
class RunningStack:
    """A stack and what reaches it."""

    url: str
    token: str
    home: Path
    projects: Path
    """Directory beneath which projects may lie."""
    environment: dict[str, str]
    process: subprocess.Popen[str]

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries."""
        return {"Authorization": f"Bearer {self.token}"}

    def client(self) -> httpx.AsyncClient:
        """Return a client of the api."""
        return httpx.AsyncClient(base_url=self.url, headers=self.headers, timeout=90)

    def project(self, name: str, **files: str) -> Path:
        """Make a project with `files`, names to content."""
        path = self.projects / name
        path.mkdir(parents=True, exist_ok=True)
        for file, content in files.items():
            (path / file.replace("__", ".")).write_text(content)
        return path

    def jido(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command against this stack."""
        return subprocess.run(
            [sys.executable, "-m", "orchestrator.cli.main", *arguments],
            env={**self.environment, "JIDO_URL": self.url},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            **options,
        )


@contextmanager
def running_stack(base: Path, **settings: str) -> Iterator[RunningStack]:
    """Run `jido up` beneath `base`; `settings` are JIDO_* names without the prefix."""
    home, projects = base / "jido", base / "projects"
    projects.mkdir(parents=True, exist_ok=True)
    kept = (
        "PATH",
        "LANG",
        "HOME",
        "DOCKER_HOST",
        "COVERAGE_PROCESS_START",
        "COVERAGE_PROCESS_CONFIG",
    )
    environment = {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "JIDO_HOME": str(home),
        "JIDO_SANDBOX_IMAGE": SANDBOX_IMAGE,
        "JIDO_PROJECT_ROOTS": str(projects),
        **{f"JIDO_{name.upper()}": value for name, value in settings.items()},
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "orchestrator.cli.main", "up", "--port", "0"],
        cwd=REPOSITORY,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=None,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        assert line.startswith("ready http"), f"jido up printed {line!r}"
        token = (home / "token").read_text().strip()
        yield RunningStack(line.split()[1], token, home, projects, environment, process)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(READY_S)
        if process.stdout is not None:
            process.stdout.close()


@asynccontextmanager
async def events(
    client: httpx.AsyncClient, session_id: str, after: int = 0
) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """Follow a session's events."""
    address = f"/v1/sessions/{session_id}/events"
    async with client.stream("GET", address, params={"after": after}) as response:
        assert response.status_code == 200, await response.aread()
        yield _decoded(response)


async def _decoded(response: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    decoder = Decoder()
    async for line in response.aiter_lines():
        for frame in decoder.feed(line):
            yield json.loads(frame.data)
