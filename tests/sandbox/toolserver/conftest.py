"""Tool servers as ordinary processes, one for a module of tests, and clients of them."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator

import pytest

from orchestrator.sandboxes.channel import Channel
from orchestrator.sandboxes.tools import SandboxTools
from tests.support.toolserver import RawClient, ToolServer, running


@pytest.fixture(scope="module")
def module_server() -> Iterator[ToolServer]:
    with running() as server:
        yield server


@pytest.fixture
def server(module_server: ToolServer) -> Iterator[ToolServer]:
    """The module's server with an empty project."""
    yield module_server
    for entry in module_server.root.iterdir():
        if entry.name == ".jido_code":
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


@pytest.fixture
def client(server: ToolServer) -> Iterator[RawClient]:
    with server.connect() as connection:
        yield connection


@pytest.fixture
async def channel(server: ToolServer) -> AsyncIterator[Channel]:
    async with await Channel.connect(str(server.socket_path)) as connection:
        yield connection


@pytest.fixture
def tools(channel: Channel) -> SandboxTools:
    return SandboxTools(channel)
