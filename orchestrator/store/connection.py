"""The connection to Redis or Valkey: clients, scripts, translated errors.

Owns retrying and translation: no error of the client library leaves this room,
callers see StoreUnavailable or NoSpace. Refuses to know any key or story.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from importlib import resources
from typing import Any, Final

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.exceptions import RedisError

from orchestrator.domain.errors import NoSpace, StoreUnavailable

Argument = str | bytes | int | float
Command = Callable[..., Awaitable[Any]]

RETRIES: Final = 20
"""Repetitions of a command while the server is away; with the back-off about eight seconds."""
_BACKOFF_BASE_S: Final = 0.02
_BACKOFF_CAP_S: Final = 0.5
_MAX_CONNECTIONS: Final = 32
"""Connections of one process for commands; more wait for their turn."""
_MAX_BLOCKING_CONNECTIONS: Final = 128
"""Connections of one process that wait for replies; more wait for their turn."""
_CONNECTION_WAIT_S: Final = 30
"""Seconds to wait for a free connection."""
_SOCKET_TIMEOUT_S: Final = 10.0
"""Seconds a reply may take; a disk that is slow to sync holds replies back."""
PATIENCE_S: Final = 30.0
"""Seconds of one call with all its repetitions, after which the store counts as unavailable."""


def _pool(url: str, *, size: int, retries: int, timeout_s: float | None) -> BlockingConnectionPool:
    backoff = ExponentialBackoff(_BACKOFF_CAP_S, _BACKOFF_BASE_S) if retries else NoBackoff()
    pool: BlockingConnectionPool = BlockingConnectionPool.from_url(
        url,
        max_connections=size,
        timeout=_CONNECTION_WAIT_S,
        decode_responses=True,
        health_check_interval=30,
        socket_timeout=timeout_s,
        socket_connect_timeout=_SOCKET_TIMEOUT_S,
        retry=Retry(backoff, retries),
        # Left out: telling the server our library reads package metadata from disk each time.
        driver_info=None,
    )
    return pool


def connect(url: str) -> Redis:
    """Return a client for commands; it connects lazily and retries while the server is away."""
    pool = _pool(url, size=_MAX_CONNECTIONS, retries=RETRIES, timeout_s=_SOCKET_TIMEOUT_S)
    return Redis.from_pool(pool)


def connect_blocking(url: str) -> Redis:
    """Return a client for calls that wait at the server; their callers bound the time."""
    pool = _pool(url, size=_MAX_BLOCKING_CONNECTIONS, retries=0, timeout_s=None)
    return Redis.from_pool(pool)


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turn errors of the client library into StoreUnavailable or NoSpace."""
    try:
        yield
    except (RedisError, OSError) as error:
        text = str(error)
        if "No space left" in text:
            raise NoSpace(
                "The disk that holds the database is full. Free some space, then try again."
            ) from error
        raise StoreUnavailable(
            f"Redis does not answer ({text[:200] or type(error).__name__}). "
            "Check that it runs, that its disk has space and that JIDO_REDIS_URL names it."
        ) from error


@contextlib.asynccontextmanager
async def _cancellable() -> AsyncIterator[None]:
    """Raise a cancellation that the client library lost.

    It sends through `asyncio.wait_for`, which in Python 3.11 swallows a cancellation that
    arrives just as the sending ends; the caller would go on as if nobody had asked it to stop.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task is not None else 0
    yield
    if task is not None and task.cancelling() > before:
        raise asyncio.CancelledError


class Connection:
    """The clients of one process, and the scripts they run."""

    def __init__(self, url: str) -> None:
        """Prepare clients for `url` (`redis://`, `rediss://` or `unix://`) without connecting."""
        self.url = url
        self.client = connect(url)
        self.blocking = connect_blocking(url)
        self._execute: Command = self.client.execute_command
        self._execute_blocking: Command = self.blocking.execute_command
        texts = _script_texts()
        self._scripts = {name: self.client.register_script(text) for name, text in texts.items()}

    async def run(self, script: str, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """Run `script` (a name) and return its reply."""
        with translated():
            async with asyncio.timeout(PATIENCE_S), _cancellable():
                return await self._scripts[script](keys, arguments)

    async def ask(self, *command: Argument) -> Any:
        """Run one command and return its reply."""
        with translated():
            async with asyncio.timeout(PATIENCE_S), _cancellable():
                return await self._execute(*command)

    async def ask_together(self, commands: Sequence[Sequence[Argument]]) -> list[Any]:
        """Run reading commands as one snapshot and return their replies."""
        if not commands:
            return []
        with translated():
            async with (
                asyncio.timeout(PATIENCE_S),
                _cancellable(),
                self.client.pipeline() as pipeline,
            ):
                for command in commands:
                    pipeline.execute_command(*command)
                replies: list[Any] = await pipeline.execute()
                return replies

    async def ask_blocking(self, *command: Argument, timeout_s: float) -> Any:
        """Run a command that waits at the server; None after `timeout_s` seconds."""
        with translated(), contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s), _cancellable():
                return await self._execute_blocking(*command)
        return None

    async def close(self) -> None:
        """Close every connection."""
        for client in (self.client, self.blocking):
            await client.aclose()
            await client.connection_pool.aclose()


_SCRIPTS: Final[Mapping[str, bool]] = {
    "claim": True,
    "remove": True,
    "renew": False,
    "rates": False,
    "transaction": True,
}
"""Names of scripts, and whether each needs the prelude."""


def _script_texts() -> dict[str, str]:
    directory = resources.files("orchestrator.store")
    prelude = (directory / "prelude.lua").read_text("utf-8")
    return {
        name: (prelude if with_prelude else "") + (directory / f"{name}.lua").read_text("utf-8")
        for name, with_prelude in _SCRIPTS.items()
    }
