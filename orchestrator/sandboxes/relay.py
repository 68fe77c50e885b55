"""A session's channel endpoint: a unix socket whose every connection reaches its tool server.

Owns accepting, copying bytes both ways with back-pressure, and one spare connection
kept ready so that connecting costs nothing. It understands nothing of what it
carries but the first line: a connection counts only after the tool server's hello.
The end of either side ends both; there is no half-open state to spin on.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Final, Protocol

from orchestrator.sandboxes.endpoint import Readable, listen_unix, read_hello
from orchestrator.sandboxes.runtime_errors import SandboxStartFailed

MAX_CONNECTIONS: Final = 64
"""Clients of one session at once; the next is closed at once."""


class Upstream(Readable, Protocol):
    """One connection to the tool server."""

    def write(self, data: bytes) -> None:
        """Send; pauses the client joined while the other end is slow."""
        ...

    def join(self, client: asyncio.Transport) -> None:
        """Pass all further bytes on to `client`, and close it at the end."""
        ...

    def pause_reading(self) -> None:
        """Take nothing more from the tool server: the client is slow."""
        ...

    def resume_reading(self) -> None:
        """Take bytes again."""
        ...

    @property
    def ended(self) -> bool:
        """Whether the other end is known to be gone."""
        ...

    def close(self) -> None:
        """End the connection."""
        ...


class _Client(asyncio.Protocol):
    """One accepted connection: what it sends goes upstream in the same turn of the event loop."""

    def __init__(self, accept: Callable[[_Client], Coroutine[None, None, None]]) -> None:
        self._accept = accept
        self._upstream: Upstream | None = None
        self._transport: asyncio.Transport | None = None
        self._lost = asyncio.Event()
        self.served: asyncio.Task[None] | None = None

    async def carry(self, greeted: _Greeted) -> None:
        """Carry bytes both ways until either side ends."""
        assert self._transport is not None
        self._upstream = greeted.upstream
        self._transport.write(greeted.head)
        greeted.upstream.join(self._transport)
        self._transport.resume_reading()
        await self._lost.wait()

    def close(self) -> None:
        """End the connection, once what was written is out."""
        if self._transport is not None:
            self._transport.close()

    # The event loop calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        # Nothing is read before there is somebody to take it.
        transport.pause_reading()
        self.served = asyncio.get_running_loop().create_task(self._accept(self))

    def data_received(self, data: bytes) -> None:
        assert self._upstream is not None
        self._upstream.write(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._lost.set()

    def pause_writing(self) -> None:
        if self._upstream is not None:
            self._upstream.pause_reading()

    def resume_writing(self) -> None:
        if self._upstream is not None:
            self._upstream.resume_reading()


class _Greeted:
    """A connection whose hello has been read and waits for its client."""

    def __init__(self, upstream: Upstream, head: bytes) -> None:
        self.upstream = upstream
        self.head = head


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
            loop = asyncio.get_running_loop()
            self._server = await loop.create_unix_server(
                lambda: _Client(self._accept), sock=listener
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

    async def _accept(self, client: _Client) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._clients) >= MAX_CONNECTIONS:
            client.close()
            return
        self._clients.add(task)
        try:
            await self._serve(client)
        except (OSError, SandboxStartFailed, asyncio.CancelledError):
            pass  # The client sees the end of its stream; the runtime's exits say why.
        finally:
            self._clients.discard(task)
            client.close()

    async def _serve(self, client: _Client) -> None:
        greeted = await self._take()
        try:
            await client.carry(greeted)
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
