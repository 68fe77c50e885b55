"""The container engine's short calls, away from the event loop.

Owns the SDK client, the bounded pool of threads its calls run in, and the
translation of its errors; no other module catches an error of the SDK.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import docker
import requests
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.utils import kwargs_from_env

from orchestrator.sandboxes.docker_stream import EngineAddress
from orchestrator.sandboxes.runtime_errors import RuntimeUnavailable, SandboxStartFailed

POOL_THREADS: Final = 16
"""Engine calls at once; ten sessions may start together while others stop."""

CALL_TIMEOUT_S: Final = 60
"""Seconds of one engine call."""

DEFAULT_ADDRESS: Final = "unix:///var/run/docker.sock"

_MAX_CAUSES: Final = 10
"""Links of a chain of errors that are followed to its first."""

_Result = TypeVar("_Result")


class EngineNotFound(Exception):
    """The container or image named does not exist."""


class EngineConflict(Exception):
    """The name is taken, or the container is being removed."""


class Engine:
    """One engine, reached at DOCKER_HOST or at its usual socket."""

    def __init__(self, address: str | None = None) -> None:
        """Prepare, without connecting; `address` None means DOCKER_HOST, else the usual socket."""
        settings = kwargs_from_env()
        self._settings = {**settings, **({"base_url": address} if address else {})}
        self.url: str = self._settings.get("base_url") or DEFAULT_ADDRESS
        self.address = EngineAddress.parse(self.url)
        self._pool = ThreadPoolExecutor(POOL_THREADS, thread_name_prefix="engine")
        self._client: docker.APIClient | None = None
        self._connecting = asyncio.Lock()
        self._closed = False

    async def call(self, work: Callable[[docker.APIClient], _Result]) -> _Result:
        """Run `work` with the client in the pool; a call once begun is always awaited.

        Cancellation arrives after the call, so that the caller can undo what it did.
        Raises EngineNotFound, EngineConflict, RuntimeUnavailable, SandboxStartFailed.
        """
        client = await self._connected()
        return await self._in_pool(lambda: work(client))

    @property
    def version(self) -> str:
        """Version of the engine's interface; known after the first call."""
        assert self._client is not None
        return str(self._client.api_version)

    async def close(self) -> None:
        """Release threads and connections; calls from now on raise RuntimeUnavailable."""
        self._closed = True
        if self._client is not None:
            await self._in_pool(self._client.close)
            self._client = None
        self._pool.shutdown(wait=False)

    async def _connected(self) -> docker.APIClient:
        if self._closed:
            raise RuntimeUnavailable("The runtime is closed.")
        async with self._connecting:
            if self._client is None:
                self._client = await self._in_pool(self._connect)
        return self._client

    def _connect(self) -> docker.APIClient:
        if self.address.socket_path is not None:
            # The SDK leaves its socket open when nobody listens; ours is closed in any case.
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(CALL_TIMEOUT_S)
                probe.connect(self.address.socket_path)
        return docker.APIClient(
            **self._settings, version="auto", timeout=CALL_TIMEOUT_S, max_pool_size=POOL_THREADS
        )

    async def _in_pool(self, work: Callable[[], _Result]) -> _Result:
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._pool, self._translating, work)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait({future})
            raise

    def _translating(self, work: Callable[[], _Result]) -> _Result:
        with _translated(self.url):
            return work()


@contextmanager
def _translated(url: str) -> Iterator[None]:
    try:
        yield
    except (ImageNotFound, NotFound) as error:
        raise EngineNotFound(_explanation(error)) from error
    except APIError as error:
        if error.status_code == 409:
            raise EngineConflict(_explanation(error)) from error
        raise SandboxStartFailed(f"The engine refused: {_explanation(error)}") from error
    except (DockerException, requests.RequestException, OSError) as error:
        raise RuntimeUnavailable(
            f"No container engine answers at {url} ({_cause(error)}). Start Docker, or on "
            "Debian and Ubuntu run `make engine` as root. If its socket is closed to you, join "
            "its group (usually docker). Without an engine: JIDO_RUNTIME=bubblewrap."
        ) from error


def _explanation(error: APIError) -> str:
    text: Any = error.explanation or str(error)
    return " ".join(str(text).split())[:500]


def _cause(error: BaseException) -> str:
    """Return the innermost reason: a missing socket, or one that this user may not open."""
    for _ in range(_MAX_CAUSES):
        error = error.__cause__ or error.__context__ or error
    return " ".join(str(error).split())[:200] or type(error).__name__
