"""A real server on a free port, over a real store and a real supervisor."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI

from orchestrator.api.app import create_app
from orchestrator.api.server import Server, bind
from orchestrator.domain.ids import new_id
from orchestrator.services.bundle import Services, build_services
from orchestrator.settings import Settings, load_settings
from orchestrator.store.facade import Store
from tests.support.process_runtime import ProcessRuntime
from tests.support.supervision import supervised

TOKEN = "token-of-the-test"

Project = Callable[[str], Path]
Opened = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture
def base() -> Iterator[Path]:
    """A directory with a path short enough for sockets."""
    path = Path(tempfile.mkdtemp(prefix="jido-api-", dir="/tmp")).resolve()
    (path / "projects").mkdir()
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def settings(base: Path, valkey_url: str) -> Settings:
    return load_settings(
        home=base / "home",
        redis_url=valkey_url,
        project_roots=str(base / "projects"),
        run_directory=base / "run",
        port=0,
        max_sessions=3,
    )


@pytest.fixture
def project(base: Path) -> Project:
    def make(name: str) -> Path:
        path = base / "projects" / name
        path.mkdir()
        (path / "README.md").write_text(f"This is {name}.\n")
        return path

    return make


@pytest.fixture
def services(store: Store, settings: Settings) -> Services:
    return build_services(store, settings)


@pytest_asyncio.fixture
async def runtime(settings: Settings, store: Store) -> AsyncIterator[ProcessRuntime]:
    """Sandboxes that are plain processes, under the real supervisor; a worker is announced."""
    runtime = ProcessRuntime(new_id())
    await store.presence.announce("worker", {"providers": ["ollama"]}, 600.0)
    async with supervised(settings, store, runtime):
        yield runtime


@asynccontextmanager
async def serving(app: FastAPI, settings: Settings) -> AsyncIterator[Server]:
    """Serve `app` for the length of a block."""
    started = asyncio.Event()
    server = Server(app, lambda _port: started.set())
    listener = bind(settings)
    task = asyncio.create_task(server.serve([listener]))
    await asyncio.wait_for(started.wait(), 10)
    yield server
    server.should_exit = True
    await asyncio.wait_for(task, 10)


@asynccontextmanager
async def client_of(app: FastAPI, settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client, with the right token, of a server of its own."""
    async with serving(app, settings) as server:
        headers = {"authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(
            base_url=address_of(server), headers=headers, timeout=30
        ) as opened:
            yield opened


def address_of(server: Server) -> str:
    port: int = server.servers[0].sockets[0].getsockname()[1]
    return f"http://127.0.0.1:{port}"


@pytest_asyncio.fixture
async def server(services: Services, settings: Settings) -> AsyncIterator[Server]:
    """A server that takes requests."""
    async with serving(create_app(services, settings, TOKEN), settings) as server:
        yield server


@pytest.fixture
def address(server: Server) -> str:
    """Where the server answers."""
    return address_of(server)


@pytest_asyncio.fixture
async def client(address: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the right token."""
    headers = {"authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(base_url=address, headers=headers, timeout=30) as opened:
        yield opened


@pytest.fixture
def opened(client: httpx.AsyncClient, runtime: ProcessRuntime, project: Project) -> Opened:
    """Start a session that is ready."""

    async def start(directory: str = "alpha", **fields: Any) -> dict[str, Any]:
        body = {"project_path": str(project(directory)), **fields}
        answer = await client.post("/v1/sessions?wait=ready", json=body)
        assert answer.status_code == 201, answer.text
        session: dict[str, Any] = answer.json()
        assert session["status"] == "ready", session
        return session

    return start
