"""A session's channel endpoint: a unix socket whose every connection reaches its tool server.

Owns accepting, copying bytes both ways with back-pressure, and one spare connection
kept ready so that connecting costs nothing. It understands nothing of what it
carries but the first line: a connection counts only after the tool server's hello.
The end of either side ends both; there is no half-open state to spin on.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Protocol

from orchestrator.sandboxes.channel import WIRE_VERSION
from orchestrator.sandboxes.runtime_errors import SandboxStartFailed

MAX_CONNECTIONS: Final = 64
"""Clients of one session at once; the next is closed at once."""

MAX_HELLO_BYTES: Final = 65_536
"""Bytes of the tool server's first line."""

COPY_BYTES: Final = 262_144
"""Bytes taken from a client at once."""

MAX_SOCKET_PATH_BYTES: Final = 107
"""Bytes of a unix socket's path, a limit of the kernel."""


class Upstream(Protocol):
    """One connection to the tool server."""

    async def read(self) -> bytes:
        """Return the next bytes; b'' at the end."""
        ...

    async def write(self, data: bytes) -> None:
        """Send, waiting while the other end is slow; raises OSError."""
        ...

    @property
    def ended(self) -> bool:
        """Whether the other end is known to be gone."""
        ...

    def close(self) -> None:
        """End the connection."""
        ...


class _Greeted:
    """A connection whose hello has been read and waits for its client."""

    def __init__(self, upstream: Upstream, head: bytes) -> None:
        self.upstream = upstream
        self.head = head


def listen_unix(path: str) -> socket.socket:
    """Bind a listening socket at `path`, mode 0600, in place of whatever socket was there.

    Raises SandboxStartFailed when the path is too long or cannot be bound.
    """
    if len(os.fsencode(path)) > MAX_SOCKET_PATH_BYTES:
        raise SandboxStartFailed(
            f"The channel's path {path} exceeds {MAX_SOCKET_PATH_BYTES} bytes. "
            "Set JIDO_HOME to a shorter path."
        )
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with suppress(FileNotFoundError):
            os.unlink(path)
        # The mode is set before the name exists, so nobody else can connect in between.
        os.fchmod(listener.fileno(), 0o600)
        listener.bind(path)
        listener.listen(128)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise SandboxStartFailed(f"The channel {path} cannot be served: {error}.") from error
    return listener


class Relay:
    """Serves one session's socket."""

    def __init__(self, socket_path: str, connect: Callable[[], Awaitable[Upstream]]) -> None:
        """Keep where to listen and how to reach the tool server."""
        self.socket_path = socket_path
        self._connect = connect
        self._server: asyncio.Server | None = None
        self._spare: asyncio.Task[_Greeted] | None = None
        self._clients: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Reach the tool server once, then listen; raises what connecting raises."""
        self._prepare_spare()
        assert self._spare is not None
        try:
            await asyncio.shield(self._spare)
            listener = listen_unix(self.socket_path)
            self._server = await asyncio.start_unix_server(
                self._accept, sock=listener, limit=COPY_BYTES
            )
        except BaseException:  # raised again once cleaned up
            await self.close()
            raise

    async def close(self) -> None:
        """Stop listening, end every connection and remove the socket; may be called twice."""
        if self._server is not None:
            self._server.close()
            self._server = None
            with suppress(FileNotFoundError):
                os.unlink(self.socket_path)
        tasks: list[asyncio.Task[None] | asyncio.Task[_Greeted]] = [*self._clients]
        if self._spare is not None:
            tasks.append(self._spare)
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, _Greeted):
                result.upstream.close()
        self._spare = None

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._clients) >= MAX_CONNECTIONS:
            writer.close()
            return
        self._clients.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, SandboxStartFailed, asyncio.CancelledError):
            pass  # The client sees the end of its stream; the runtime's exits say why.
        finally:
            self._clients.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        greeted = await self._take()
        try:
            writer.write(greeted.head)
            inward = asyncio.create_task(_copy_in(reader, greeted.upstream))
            outward = asyncio.create_task(_copy_out(greeted.upstream, writer))
            try:
                await asyncio.wait({inward, outward}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                inward.cancel()
                outward.cancel()
                await asyncio.gather(inward, outward, return_exceptions=True)
        finally:
            greeted.upstream.close()

    async def _take(self) -> _Greeted:
        """Hand out the spare connection and have the next one made."""
        for _ in range(2):
            self._prepare_spare()
            assert self._spare is not None
            spare, self._spare = self._spare, None
            try:
                greeted = await spare
            except asyncio.CancelledError:
                spare.cancel()
                raise
            if not greeted.upstream.ended:
                self._prepare_spare()
                return greeted
            greeted.upstream.close()
        raise SandboxStartFailed("The sandbox ends its connections.")

    def _prepare_spare(self) -> None:
        if self._spare is None or _failed(self._spare):
            self._spare = asyncio.create_task(self._open())
            # A spare that fails while nobody waits is replaced when somebody does.
            self._spare.add_done_callback(_failed)

    async def _open(self) -> _Greeted:
        upstream = await self._connect()
        try:
            return _Greeted(upstream, await read_hello(upstream))
        except BaseException:  # raised again once cleaned up
            upstream.close()
            raise


def _failed(task: asyncio.Task[_Greeted]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


async def read_hello(upstream: Upstream) -> bytes:
    """Return what arrived up to and after the tool server's first line.

    Raises SandboxStartFailed when it ends first, says something else or speaks another version.
    """
    head = b""
    while b"\n" not in head:
        data = await upstream.read()
        head += data
        if not data or len(head) > MAX_HELLO_BYTES:
            raise SandboxStartFailed("The sandbox's tool server ended before its first line.")
    try:
        greeting = json.loads(head[: head.index(b"\n")])
    except (ValueError, RecursionError):
        greeting = None
    if not isinstance(greeting, dict) or "hello" not in greeting:
        raise SandboxStartFailed("The sandbox's tool server does not speak our protocol.")
    _require_version(greeting["hello"])
    return head


def _require_version(hello: object) -> None:
    """Refuse a tool server of another version here, before any turn meets it."""
    version = hello.get("version") if isinstance(hello, dict) else None
    if type(version) is not int or version != WIRE_VERSION:
        said = str(version) if type(version) is int and 0 <= version < 10_000 else "something else"
        raise SandboxStartFailed(
            f"The sandbox speaks version {said} of the wire, this program version {WIRE_VERSION}. "
            "Rebuild the image with `make image`."
        )


async def _copy_in(reader: asyncio.StreamReader, upstream: Upstream) -> None:
    while data := await reader.read(COPY_BYTES):
        await upstream.write(data)


async def _copy_out(upstream: Upstream, writer: asyncio.StreamWriter) -> None:
    while data := await upstream.read():
        writer.write(data)
        await writer.drain()
