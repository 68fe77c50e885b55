"""One connection to a sandbox's tool server: many requests in flight, each answered once.

Owns identifiers, deadlines, cancellation and the bounds of what it buffers. Knows nothing of
what the operations mean. A peer that breaks the protocol loses the connection.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from orchestrator.sandboxes.errors import (
    ChannelClosed,
    ChannelProtocolError,
    InvalidArgument,
    ToolTimeout,
    tool_error,
)
from orchestrator.sandboxes.frames import Frame, FrameParser, encode_frame

WIRE_VERSION: Final = 1
"""The version of the wire this client speaks; another one is refused."""

MAX_IN_FLIGHT: Final = 64
"""Requests of one channel awaiting their reply, abandoned ones included."""

MAX_STREAM_BYTES: Final = 1024 * 1024
"""Bytes of streamed output waiting for their callback before reading pauses."""

DEFAULT_TIMEOUT_S: Final = 30.0
"""Seconds a request may take when it names no time; None waits without end."""

OnStream = Callable[[str, bytes], Awaitable[None] | None]


class Reply(NamedTuple):
    """The answer of one operation: its result object and the raw bytes beside it."""

    result: dict[str, Any]
    payload: bytes


class Hello(NamedTuple):
    """What a tool server says first: its project directory and its process id there."""

    root: str
    pid: int


class _Pending:
    """One request that awaits its reply."""

    __slots__ = ("arrived", "chunks", "future", "timer")

    def __init__(self, future: asyncio.Future[Reply], streams: bool) -> None:
        self.future = future
        self.timer: asyncio.TimerHandle | None = None
        self.chunks: deque[tuple[str, bytes]] | None = deque() if streams else None
        self.arrived = asyncio.Event() if streams else None


class Channel(asyncio.Protocol):
    """The client's end of one connection; made by `Channel.connect`, used on one event loop."""

    def __init__(self) -> None:
        """Prepare an unconnected channel; use `connect`."""
        self._loop = asyncio.get_running_loop()
        self._parser = FrameParser()
        self._transport: asyncio.Transport | None = None
        self._greeted: asyncio.Future[Hello] = self._loop.create_future()
        self._pending: dict[int, _Pending] = {}
        self._abandoned: set[int] = set()
        self._last_id = 0
        self._streamed_bytes = 0
        self._error: ChannelClosed | None = None
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
                transport, channel = await loop.create_unix_connection(cls, path)
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
        return self._error is not None

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
        identity, pending = await self._send(operation, arguments, payload, timeout_s, False)
        try:
            return await pending.future
        except asyncio.CancelledError:
            self._abandon(identity)
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
        identity, pending = await self._send(operation, arguments, payload, timeout_s, True)
        try:
            await self._pump(pending, on_stream)
            return await pending.future
        except BaseException:  # raised again once cleaned up
            self._abandon(identity)
            raise

    async def _send(
        self,
        operation: str,
        arguments: dict[str, Any] | None,
        payload: bytes,
        timeout_s: float | None,
        streams: bool,
    ) -> tuple[int, _Pending]:
        if not self._writable.is_set():
            await self._writable.wait()
        if self._error is not None or self._transport is None:
            raise self._error or ChannelClosed("the channel is not connected")
        if len(self._pending) + len(self._abandoned) >= MAX_IN_FLIGHT:
            raise tool_error("limit_requests", f"{MAX_IN_FLIGHT} requests are in flight")
        identity = self._last_id = self._last_id + 1
        try:
            header = {"id": identity, "op": operation, "args": arguments or {}}
            frame = encode_frame(header, payload)
        except (ValueError, TypeError) as error:
            raise InvalidArgument(str(error)) from None
        pending = _Pending(self._loop.create_future(), streams)
        if timeout_s is not None:
            pending.timer = self._loop.call_later(timeout_s, self._expire, identity, timeout_s)
        self._pending[identity] = pending
        self._transport.write(frame)
        return identity, pending

    async def _pump(self, pending: _Pending, on_stream: OnStream) -> None:
        """Call back for every chunk until the reply is there and no chunk is left."""
        chunks, arrived = pending.chunks, pending.arrived
        assert chunks is not None
        assert arrived is not None
        while True:
            while chunks:
                name, data = chunks.popleft()
                self._streamed(-len(data))
                answer = on_stream(name, data)
                if inspect.isawaitable(answer):
                    await answer
            if pending.future.done():
                return
            arrived.clear()
            await arrived.wait()

    def _streamed(self, change: int) -> None:
        """Count waiting output and pause or resume reading by it."""
        before = self._streamed_bytes
        self._streamed_bytes = after = before + change
        if self._transport is None or self._transport.is_closing():
            return
        if before <= MAX_STREAM_BYTES < after:
            self._transport.pause_reading()
        elif after <= MAX_STREAM_BYTES < before:
            self._transport.resume_reading()

    def _expire(self, identity: int, timeout_s: float) -> None:
        pending = self._pending.get(identity)
        if pending is not None:
            self._abandon(identity)
            self._settle(pending, ToolTimeout(f"no answer within {timeout_s:g} s"))

    def _abandon(self, identity: int) -> None:
        """Forget a request that nobody awaits and tell the server; harmless when answered."""
        pending = self._pending.pop(identity, None)
        if pending is None:
            return
        self._abandoned.add(identity)
        if pending.timer is not None:
            pending.timer.cancel()
        if pending.chunks:
            self._streamed(-sum(len(data) for _, data in pending.chunks))
            pending.chunks.clear()
        if self._transport is not None and self._error is None:
            self._transport.write(encode_frame({"cancel": identity}))

    def _settle(self, pending: _Pending, outcome: Reply | Exception) -> None:
        if pending.timer is not None:
            pending.timer.cancel()
        if not pending.future.done():
            if isinstance(outcome, Exception):
                pending.future.set_exception(outcome)
                # A stream whose callback failed never looks at its future again.
                pending.future.exception()
            else:
                pending.future.set_result(outcome)
        if pending.arrived is not None:
            pending.arrived.set()

    # The event loop calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take bytes from the sandbox."""
        try:
            for frame in self._parser.feed(data):
                self._take(frame)
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
        if self._error is not None:
            return
        self._error = error
        if self._transport is not None:
            self._transport.abort()
        if not self._greeted.done():
            self._greeted.set_exception(error)
            self._greeted.exception()
        for pending in self._pending.values():
            self._settle(pending, error)
        self._pending.clear()
        self._abandoned.clear()
        self._writable.set()

    def _take(self, frame: Frame) -> None:
        header = frame.header
        if not self._greeted.done():
            self._greeted.set_result(_parse_hello(header))
            return
        identity = header.get("id")
        if type(identity) is not int:
            raise ChannelProtocolError(_refusal(header))
        pending = self._pending.get(identity)
        if pending is None:
            self._take_abandoned(identity, header)
        elif "stream" in header:
            self._take_stream(pending, header["stream"], frame.payload)
        else:
            # Parsed first: a broken reply must still find its request, to fail it.
            outcome = _parse_reply(header, frame.payload)
            del self._pending[identity]
            self._settle(pending, outcome)

    def _take_abandoned(self, identity: int, header: dict[str, Any]) -> None:
        if identity not in self._abandoned:
            raise ChannelProtocolError("the sandbox answered a request nobody made")
        if "stream" not in header:
            self._abandoned.discard(identity)

    def _take_stream(self, pending: _Pending, name: object, data: bytes) -> None:
        if pending.chunks is None or pending.arrived is None:
            raise ChannelProtocolError("the sandbox streamed what was not to be streamed")
        if name not in ("stdout", "stderr") or not data:
            raise ChannelProtocolError("the sandbox streamed something unknown")
        pending.chunks.append((str(name), data))
        pending.arrived.set()
        self._streamed(len(data))


def _parse_hello(header: dict[str, Any]) -> Hello:
    hello = header.get("hello")
    if not isinstance(hello, dict):
        raise ChannelProtocolError(_refusal(header))
    if hello.get("version") != WIRE_VERSION:
        raise ChannelProtocolError("the sandbox speaks another version; rebuild its image")
    root, pid = hello.get("root"), hello.get("pid")
    if not isinstance(root, str) or not root.startswith("/") or type(pid) is not int:
        raise ChannelProtocolError("the sandbox greeted wrongly")
    return Hello(root, pid)


def _refusal(header: dict[str, Any]) -> str:
    """Say what a frame without an identifier said, when it was a refusal."""
    error = header.get("error")
    if isinstance(error, dict):
        return f"the sandbox refused: {tool_error(error.get('code'), error.get('message')).detail}"
    return "the sandbox sent a frame that belongs to nothing"


def _parse_reply(header: dict[str, Any], payload: bytes) -> Reply | Exception:
    if header.get("ok") is True:
        result = header.get("result")
        if not isinstance(result, dict):
            raise ChannelProtocolError("the sandbox sent a reply without a result")
        return Reply(result, payload)
    error = header.get("error")
    if header.get("ok") is not False or not isinstance(error, dict):
        raise ChannelProtocolError("the sandbox sent neither a result nor an error")
    failure = tool_error(error.get("code"), error.get("message"))
    data = error.get("data")
    if isinstance(data, dict):
        failure.extra["data"] = data
    failure.payload = payload
    return failure
