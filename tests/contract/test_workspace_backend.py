"""pydantic-ai's own conformance suite, on every place where a tool server runs.

An ordinary process shows what the server does, the two runtimes that isolation takes nothing
of it away. One sandbox serves a whole module; only the rules that destroy one start their own.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, Protocol, TypeVar

import pytest
from pydantic_ai.workspaces import WorkspaceBackend, WorkspaceRef
from pydantic_ai.workspaces.conformance import WorkspaceBackendSuite

from orchestrator.sandboxes.workspace import SandboxWorkspace
from tests.support.requirements import require_bubblewrap, require_docker
from tests.support.sandboxes import Sandboxes
from tests.support.toolserver import ToolServer

PLACES = [
    "process",
    pytest.param("docker", marks=pytest.mark.docker),
    pytest.param("bubblewrap", marks=pytest.mark.bubblewrap),
]

_START_TIMEOUT_S = 60.0

_Result = TypeVar("_Result")


class Place(Protocol):
    """Where tool servers run; called from any loop, so nothing here is asynchronous."""

    def start(self) -> tuple[str, str]:
        """Start one; returns the session's id and the socket that leads to it."""

    def destroy(self, session_id: str) -> None:
        """End one and all that runs in it."""

    def close(self) -> None:
        """End everything."""


class Processes:
    """Tool servers as ordinary processes."""

    def __init__(self) -> None:
        self._servers: dict[str, ToolServer] = {}

    def start(self) -> tuple[str, str]:
        server = ToolServer.start()
        session_id = f"session-{len(self._servers)}"
        self._servers[session_id] = server
        return session_id, str(server.socket_path)

    def destroy(self, session_id: str) -> None:
        self._servers[session_id].kill()

    def close(self) -> None:
        for server in self._servers.values():
            server.stop()


class RuntimeAside:
    """Sandboxes of a runtime on a loop of its own, as a supervisor is a process of its own.

    The channel's relay lives on that loop and so outlasts the loops of single tests.
    """

    def __init__(self, kind: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"{kind} runtime")
        self._thread.start()
        self._count = 0
        self._sandboxes = self._call(self._open(kind))

    def start(self) -> tuple[str, str]:
        self._count += 1
        project = self._sandboxes.project(f"project-{self._count}")
        sandbox = self._call(self._sandboxes.start(project))
        return sandbox.spec.session_id, sandbox.socket_path

    def destroy(self, session_id: str) -> None:
        self._call(self._sandboxes.runtime.stop(session_id))

    def close(self) -> None:
        try:
            self._call(self._sandboxes.close())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    @staticmethod
    async def _open(kind: str) -> Sandboxes:
        return Sandboxes(kind)

    def _call(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_START_TIMEOUT_S)


class Environments:
    """The sandboxes of one module and the workspaces that one test opens on them."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._sockets: dict[str, str] = {}
        self._shared: str | None = None
        self._workspaces: list[SandboxWorkspace] = []

    def shared(self) -> SandboxWorkspace:
        """A new connection to the sandbox that all tests share."""
        self._shared = self._shared or self._start()
        return self._open(self._shared)

    def independent(self) -> SandboxWorkspace:
        """A sandbox of its own."""
        return self._open(self._start())

    def attach(self, ref: WorkspaceRef) -> SandboxWorkspace:
        return self._open(ref.id)

    async def destroy(self, backend: WorkspaceBackend) -> None:
        assert backend.ref is not None
        await asyncio.to_thread(self._place.destroy, backend.ref.id)

    async def disconnect(self) -> None:
        """Close the workspaces of one test, on the loop that opened them."""
        workspaces, self._workspaces = self._workspaces, []
        for workspace in workspaces:
            await workspace.aclose()

    def _start(self) -> str:
        session_id, socket_path = self._place.start()
        self._sockets[session_id] = socket_path
        return session_id

    def _open(self, session_id: str) -> SandboxWorkspace:
        workspace = SandboxWorkspace(self._sockets[session_id], session_id)
        self._workspaces.append(workspace)
        return workspace


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module", params=PLACES)
def module_environments(request: pytest.FixtureRequest) -> Iterator[Environments]:
    kind: str = request.param
    if kind == "docker":
        require_docker()
    elif kind == "bubblewrap":
        require_bubblewrap()
    place: Place = Processes() if kind == "process" else RuntimeAside(kind)
    try:
        yield Environments(place)
    finally:
        place.close()


@pytest.fixture
def environments(
    module_environments: Environments, _function_scoped_runner: asyncio.Runner
) -> Iterator[Environments]:
    # The suite's marker makes anyio run every asynchronous fixture on a loop of its own, while
    # pytest-asyncio runs the tests; connections must be closed on the loop that opened them.
    yield module_environments
    _function_scoped_runner.run(module_environments.disconnect())


class TestWorkspaceBackend(WorkspaceBackendSuite):
    """Our workspace, wherever its tool server runs."""

    @pytest.fixture
    def backend(self, environments: Environments) -> WorkspaceBackend:
        return environments.shared()

    @pytest.fixture
    def fresh_backend(self, environments: Environments) -> Callable[[], WorkspaceBackend]:
        return environments.shared

    @pytest.fixture
    def destructive_backend(self, environments: Environments) -> Callable[[], WorkspaceBackend]:
        return environments.independent

    @pytest.fixture
    def attach_backend(
        self, environments: Environments
    ) -> Callable[[WorkspaceRef], WorkspaceBackend]:
        return environments.attach

    @pytest.fixture
    def destroy_environment(
        self, environments: Environments
    ) -> Callable[[WorkspaceBackend], Awaitable[None]]:
        return environments.destroy
