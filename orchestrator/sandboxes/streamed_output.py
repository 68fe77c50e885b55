"""Output of running operations on its way from a connection to the callbacks that take it.

Owns its order and the bound of what waits: while a callback lags behind, the connection is not
read. Knows neither identifiers nor replies. Refuses, with `ChannelProtocolError`, output of an
unknown stream.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from orchestrator.sandboxes.errors import ChannelProtocolError

MAX_STREAM_BYTES: Final = 1024 * 1024
"""Bytes of streamed output waiting for their callback before reading pauses."""

CHUNK_BYTES: Final = 128
"""Bytes that each waiting piece counts beside its own: output of single bytes takes memory too."""

OnStream = Callable[[str, bytes], Awaitable[None] | None]
"""Takes the name of a stream, `stdout` or `stderr`, and bytes of it."""


class Backlog:
    """The output of all operations of one connection that waits for its callbacks, counted."""

    __slots__ = ("_bytes", "transport")

    def __init__(self) -> None:
        """Start empty, without a connection to pause."""
        self.transport: asyncio.Transport | None = None
        """The connection whose reading is paused and resumed; None while there is none."""
        self._bytes = 0

    def change(self, by: int) -> None:
        """Count bytes that came, or with a minus went, and pause or resume reading by it."""
        before = self._bytes
        self._bytes = after = before + by
        if self.transport is None or self.transport.is_closing():
            return
        if before <= MAX_STREAM_BYTES < after:
            self.transport.pause_reading()
        elif after <= MAX_STREAM_BYTES < before:
            self.transport.resume_reading()


class StreamedOutput:
    """The output of one operation: taken as it arrives, passed on in order."""

    __slots__ = ("_arrived", "_backlog", "_chunks", "_ended")

    def __init__(self, backlog: Backlog) -> None:
        """Expect output, to be counted in `backlog` while it waits."""
        self._backlog = backlog
        self._chunks: deque[tuple[str, bytes]] = deque()
        self._arrived = asyncio.Event()
        self._ended = False

    def take(self, name: object, data: bytes) -> None:
        """Keep bytes of a stream for the callback; raises `ChannelProtocolError`."""
        if name not in ("stdout", "stderr") or not data:
            raise ChannelProtocolError("the sandbox streamed something unknown")
        self._chunks.append((str(name), data))
        self._arrived.set()
        self._backlog.change(len(data) + CHUNK_BYTES)

    def end(self) -> None:
        """Let `pass_on` return once it has passed on what is there."""
        self._ended = True
        self._arrived.set()

    def drop(self) -> None:
        """Forget what waits: nobody takes it any more."""
        if self._chunks:
            self._backlog.change(-sum(len(data) + CHUNK_BYTES for _, data in self._chunks))
            self._chunks.clear()

    async def pass_on(self, on_stream: OnStream) -> None:
        """Call back for every chunk until the end has come and no chunk is left."""
        chunks = self._chunks
        while True:
            while chunks:
                name, data = chunks.popleft()
                self._backlog.change(-len(data) - CHUNK_BYTES)
                answer = on_stream(name, data)
                if inspect.isawaitable(answer):
                    await answer
            if self._ended:
                return
            self._arrived.clear()
            await self._arrived.wait()
