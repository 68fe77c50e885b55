"""One connection to a sandbox's tool server: many requests in flight, each answered once.

Owns the connection: its greeting, its end and when it may be written to. Knows nothing of what
the operations mean. A peer that breaks the protocol loses the connection.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Final, Self

from orchestrator.sandboxes import byte_socket
from orchestrator.sandboxes.errors import ChannelClosed, ChannelProtocolError, ToolTimeout
from orchestrator.sandboxes.frames import FrameParser
from orchestrator.sandboxes.in_flight import InFlight
from orchestrator.sandboxes.replies import Hello, Reply, parse_hello
from orchestrator.sandboxes.streamed_output import Backlog, OnStream, StreamedOutput

DEFAULT_TIMEOUT_S: Final = 30.0
"""Seconds a request may take when it names no time; None waits without end."""


class Channel(asyncio.Protocol):
    """The client's end of one connection; made by `Channel.connect`, used on one event loop."""

    def __init__(self) -> None:
        """Prepare an unconnected channel; use `connect`."""
        loop = asyncio.get_running_loop()
        self._parser = FrameParser()
        self._transport: asyncio.Transport | None = None
        self._greeted: asyncio.Future[Hello] = loop.create_future()
        self._in_flight = InFlight(loop)
        self._backlog = Backlog()
        self._writable = asyncio.Event()
        self._writable.set()
        self._lost = asyncio.Event()

    @classmethod
    async def connect(cls, path: str, timeout_s: float = 10.0) -> Channel:
        """Connect to a unix socket and wait for its greeting; raises `ChannelClosed`."""
        transport: asyncio.Transport | None = None
        try:
            async with asyncio.timeout(timeout_s):
                loop = asyncio.get_running_loop()
                made = await byte_socket.connect(path)
                transport, channel = await loop.create_unix_connection(cls, sock=made)
                await asyncio.shield(channel._greeted)
                return channel
        except OSError as error:  # TimeoutError included
            if transport is not None:
                transport.abort()
            reason = error.strerror or "it did not answer in time"
            raise ChannelClosed(f"the sandbox cannot be reached: {reason}") from None
        except BaseException:  # raised again once cleaned up
            if transport is not None:
                transport.abort()
            raise

    @property
    def hello(self) -> Hello:
        """What the tool server said of itself."""
        return self._greeted.result()

    @property
    def closed(self) -> bool:
        """Whether no further request can be made."""
        return self._in_flight.error is not None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def close(self) -> None:
        """Close the connection; the server cancels what was in flight. Idempotent."""
        self._fail(ChannelClosed("the channel was closed"))

    async def aclose(self) -> None:
        """Close the connection and wait until its descriptor is released."""
        self.close()
        if self._transport is not None:
            await self._lost.wait()

    async def request(
        self,
        operation: str,
        arguments: dict[str, Any] | None = None,
        payload: bytes = b"",
        *,
        timeout_s: float | None = DEFAULT_TIMEOUT_S,
    ) -> Reply:
        """Run one operation; raises the `ToolError` of its code, or `ChannelClosed`.

        A cancelled caller cancels the operation in the sandbox as well.
        """
        if not self._writable.is_set():
            await self._until_writable(timeout_s)
        pending = self._in_flight.start(operation, arguments, payload, timeout_s)
        try:
            return await pending.future
        except asyncio.CancelledError:
            self._in_flight.abandon(pending)
            raise

    async def stream(
        self,
        operation: str,
        arguments: dict[str, Any],
        on_stream: OnStream,
        payload: bytes = b"",
        *,
        timeout_s: float | None = DEFAULT_TIMEOUT_S,
    ) -> Reply:
        """Run one operation and pass its output on in order, as (`stdout` or `stderr`, bytes).

        The callback must not use this channel: while it lags behind, nothing is read.
        """
        if not self._writable.is_set():
            await self._until_writable(timeout_s)
        output = StreamedOutput(self._backlog)
        pending = self._in_flight.start(operation, arguments, payload, timeout_s, output)
        try:
            await output.pass_on(on_stream)
            return await pending.future
        except BaseException:  # raised again once cleaned up
            self._in_flight.abandon(pending)
            raise

    async def _until_writable(self, timeout_s: float | None) -> None:
        """Wait while the sandbox does not read; raises `ToolTimeout`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._writable.wait()
        except TimeoutError:
            raise ToolTimeout(f"not read within {timeout_s:g} s") from None

    # The event loop calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = self._in_flight.transport = self._backlog.transport = transport

    def data_received(self, data: bytes) -> None:
        """Take bytes from the sandbox: its greeting, then what belongs to requests."""
        try:
            for frame in self._parser.feed(data):
                if self._greeted.done():
                    self._in_flight.take(frame)
                else:
                    self._greeted.set_result(parse_hello(frame.header))
        except ChannelProtocolError as error:
            self._fail(error)

    def connection_lost(self, error: Exception | None) -> None:
        """Fail everything in flight."""
        self._lost.set()
        self._fail(ChannelClosed("the sandbox closed the connection"))

    def pause_writing(self) -> None:
        """Hold further requests back until the sandbox has read earlier ones."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Let requests go on."""
        self._writable.set()

    def _fail(self, error: ChannelClosed) -> None:
        if self.closed:
            return
        if self._transport is not None:
            self._transport.abort()
        if not self._greeted.done():
            self._greeted.set_exception(error)
            self._greeted.exception()
        self._in_flight.end(error)
        self._writable.set()
