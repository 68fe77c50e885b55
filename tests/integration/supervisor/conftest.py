"""A stage per test, on each runtime; nothing of it is left behind."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
import structlog

from orchestrator.domain.errors import JidoError
from orchestrator.store.facade import Store
from orchestrator.supervisor.instance import own_instance
from orchestrator.wiring import find_runtime
from tests.integration.supervisor.stage import Stage
from tests.support.requirements import require_bubblewrap, require_docker
from tests.support.valkey import Server


@pytest.fixture
def base() -> Iterator[Path]:
    """A directory with a path short enough for sockets."""
    path = Path(tempfile.mkdtemp(prefix="jido-sup-", dir="/tmp")).resolve()
    (path / "projects").mkdir()
    yield path
    shutil.rmtree(path)


@pytest.fixture
def own_logging() -> Iterator[None]:
    """Put logging back as it was: a supervisor takes all of it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest_asyncio.fixture
async def quiet_stage(
    base: Path, store: Store, valkey_server: Server, own_logging: None
) -> AsyncIterator[Stage]:
    """A stage whose supervisor finds no runtime: no engine answers where it looks."""
    stage = Stage(base, store, valkey_server.url, "docker")
    try:
        yield stage
    finally:
        await stage.stop()


@pytest.fixture(
    params=[
        pytest.param("docker", marks=pytest.mark.docker),
        pytest.param("bubblewrap", marks=pytest.mark.bubblewrap),
    ]
)
def runtime_name(request: pytest.FixtureRequest) -> str:
    """Each runtime that this machine has."""
    name = str(request.param)
    {"docker": require_docker, "bubblewrap": require_bubblewrap}[name]()
    return name


@pytest_asyncio.fixture
async def stage(
    base: Path, store: Store, valkey_server: Server, runtime_name: str, own_logging: None
) -> AsyncIterator[Stage]:
    """A stage with a real runtime; its sandboxes are ended afterwards."""
    stage = Stage(base, store, valkey_server.url, runtime_name)
    try:
        yield stage
    finally:
        await stage.stop()
        await end_sandboxes(stage)


async def end_sandboxes(stage: Stage) -> None:
    """End every sandbox of the installation."""
    settings = stage.settings
    with own_instance(settings.home) as instance_id:
        try:
            runtime = await find_runtime(settings, instance_id)
        except JidoError:
            return
        for sandbox in await runtime.running():
            await runtime.stop(sandbox.session_id)
        await runtime.close()
