"""pydantic-ai's own conformance suite, on the workspace over a real tool server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest
from pydantic_ai.workspaces import WorkspaceBackend, WorkspaceRef
from pydantic_ai.workspaces.conformance import WorkspaceBackendSuite

from orchestrator.sandboxes.workspace import SandboxWorkspace
from tests.support.toolserver import ToolServer


class Sandboxes:
    """Starts tool servers for one test and remembers which workspace belongs to which."""

    def __init__(self) -> None:
        self._servers: dict[str, ToolServer] = {}
        self._workspaces: list[SandboxWorkspace] = []

    def start(self) -> SandboxWorkspace:
        server = ToolServer.start()
        session_id = f"session-{len(self._servers)}"
        self._servers[session_id] = server
        return self._open(session_id)

    def attach(self, ref: WorkspaceRef) -> SandboxWorkspace:
        return self._open(ref.id)

    def _open(self, session_id: str) -> SandboxWorkspace:
        workspace = SandboxWorkspace(str(self._servers[session_id].socket_path), session_id)
        self._workspaces.append(workspace)
        return workspace

    async def destroy(self, backend: WorkspaceBackend) -> None:
        ref = backend.ref
        assert ref is not None
        await asyncio.to_thread(self._servers[ref.id].kill)

    async def close(self) -> None:
        for workspace in self._workspaces:
            await workspace.aclose()
        for server in self._servers.values():
            await asyncio.to_thread(server.stop)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def sandboxes(_function_scoped_runner: asyncio.Runner) -> Iterator[Sandboxes]:
    # The suite's marker makes anyio run every asynchronous fixture on a loop of its own, while
    # pytest-asyncio runs the tests; connections must be closed on the loop that opened them.
    started = Sandboxes()
    yield started
    _function_scoped_runner.run(started.close())


class TestToolServerProcess(WorkspaceBackendSuite):
    """The tool server as an ordinary process."""

    @pytest.fixture
    def backend(self, sandboxes: Sandboxes) -> WorkspaceBackend:
        return sandboxes.start()

    @pytest.fixture
    def fresh_backend(self, sandboxes: Sandboxes) -> Callable[[], WorkspaceBackend]:
        return sandboxes.start

    @pytest.fixture
    def attach_backend(self, sandboxes: Sandboxes) -> Callable[[WorkspaceRef], WorkspaceBackend]:
        return sandboxes.attach

    @pytest.fixture
    def destroy_environment(
        self, sandboxes: Sandboxes
    ) -> Callable[[WorkspaceBackend], Awaitable[None]]:
        return sandboxes.destroy
