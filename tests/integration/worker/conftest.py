"""Fixtures of turns that really run."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from orchestrator.settings import load_settings
from orchestrator.store.facade import Store
from tests.integration.worker.stage import Stage, WorkerProcess
from tests.support.toolserver import ToolServer, running
from tests.support.valkey import Server

StartWorker = Callable[..., WorkerProcess]


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A JIDO_HOME with a short path, for sockets."""
    directory = Path(tempfile.mkdtemp(prefix="jido-w-", dir="/tmp"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest_asyncio.fixture
async def stage(store: Store, valkey_url: str, home: Path) -> AsyncIterator[Stage]:
    """A stage over an empty Valkey."""
    settings = load_settings(home=home, redis_url=valkey_url)
    yield Stage(settings, store, home / "worker.log")


@pytest.fixture
def tools() -> Iterator[ToolServer]:
    """A tool server with an empty project."""
    with running() as server:
        yield server


@pytest.fixture(scope="module")
def shared_worker(home: Path, valkey_server: Server) -> Iterator[WorkerProcess]:
    """One worker for all tests of a module that leave it alone."""
    environment = {"JIDO_REDIS_URL": valkey_server.url, "JIDO_WORKERS": "3"}
    process = WorkerProcess(home, environment, home / "worker.log")
    yield process
    process.stop()


@pytest.fixture
def start_worker(stage: Stage) -> Iterator[StartWorker]:
    """Start worker processes; whatever still runs is stopped at the end."""
    started: list[WorkerProcess] = []

    def start(workers: int = 2, **environment: str) -> WorkerProcess:
        process = WorkerProcess(
            stage.settings.home,
            {
                "JIDO_REDIS_URL": stage.settings.effective_redis_url,
                "JIDO_WORKERS": str(workers),
                **environment,
            },
            stage.log,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.stop()
