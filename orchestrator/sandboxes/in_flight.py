"""Requests of one connection between their start and their only outcome.

Owns identifiers, deadlines, cancellation and how many requests there may be. Writes frames, but
neither opens nor closes the connection. Refuses, with `ChannelProtocolError`, an answer to what
nobody asked.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from orchestrator.sandboxes.errors import (
    ChannelClosed,
    ChannelProtocolError,
    InvalidArgument,
    ToolTimeout,
    tool_error,
)
from orchestrator.sandboxes.frames import Frame, encode_frame
from orchestrator.sandboxes.replies import Reply, parse_reply, refusal
from orchestrator.sandboxes.streamed_output import StreamedOutput

MAX_IN_FLIGHT: Final = 64
"""Requests of one channel awaiting their reply, abandoned ones included."""


class Pending:
    """One request that awaits its reply."""

    __slots__ = ("future", "identity", "output", "timer")

    def __init__(
        self, identity: int, future: asyncio.Future[Reply], output: StreamedOutput | None
    ) -> None:
        """Await the reply in `future`; `output` is None for a request that streams nothing."""
        self.identity = identity
        self.future = future
        self.output = output
        self.timer: asyncio.TimerHandle | None = None

    def settle(self, outcome: Reply | Exception) -> None:
        """Hand the outcome to whoever awaits it; a later one is ignored."""
        if self.timer is not None:
            self.timer.cancel()
        if not self.future.done():
            if isinstance(outcome, Exception):
                self.future.set_exception(outcome)
                # A stream whose callback failed never looks at its future again.
                self.future.exception()
            else:
                self.future.set_result(outcome)
        if self.output is not None:
            self.output.end()


class InFlight:
    """The requests of one connection; each is settled once or abandoned."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Hold nothing, without a connection to write to."""
        self.transport: asyncio.Transport | None = None
        """What frames are written to; None while there is no connection."""
        self.error: ChannelClosed | None = None
        """Why no further request can be made; None while one can."""
        self._loop = loop
        self._pending: dict[int, Pending] = {}
        self._abandoned: set[int] = set()
        self._last_id = 0

    def start(
        self,
        operation: str,
        arguments: dict[str, Any] | None,
        payload: bytes,
        timeout_s: float | None,
        output: StreamedOutput | None = None,
    ) -> Pending:
        """Write a request; raises `ChannelClosed`, or the `ToolError` of what is wrong with it."""
        if self.error is not None or self.transport is None:
            raise self.error or ChannelClosed("the channel is not connected")
        if len(self._pending) + len(self._abandoned) >= MAX_IN_FLIGHT:
            raise tool_error("limit_requests", f"{MAX_IN_FLIGHT} requests are in flight")
        identity = self._last_id = self._last_id + 1
        try:
            header = {"id": identity, "op": operation, "args": arguments or {}}
            frame = encode_frame(header, payload)
        except (ValueError, TypeError) as error:
            raise InvalidArgument(str(error)) from None
        pending = Pending(identity, self._loop.create_future(), output)
        if timeout_s is not None:
            pending.timer = self._loop.call_later(timeout_s, self._expire, pending, timeout_s)
        self._pending[identity] = pending
        self.transport.write(frame)
        return pending

    def abandon(self, pending: Pending) -> None:
        """Forget a request that nobody awaits and tell the server; harmless when answered."""
        if self._pending.pop(pending.identity, None) is None:
            return
        self._abandoned.add(pending.identity)
        if pending.timer is not None:
            pending.timer.cancel()
        if pending.output is not None:
            pending.output.drop()
        if self.transport is not None and self.error is None:
            self.transport.write(encode_frame({"cancel": pending.identity}))

    def take(self, frame: Frame) -> None:
        """Give a frame to the request it belongs to; raises `ChannelProtocolError`."""
        header = frame.header
        identity = header.get("id")
        if type(identity) is not int:
            raise ChannelProtocolError(refusal(header))
        pending = self._pending.get(identity)
        if pending is None:
            self._take_abandoned(identity, header)
        elif "stream" not in header:
            # Parsed first: a broken reply must still find its request, to fail it.
            outcome = parse_reply(header, frame.payload)
            del self._pending[identity]
            pending.settle(outcome)
        elif pending.output is not None:
            pending.output.take(header["stream"], frame.payload)
        else:
            raise ChannelProtocolError("the sandbox streamed what was not to be streamed")

    def end(self, error: ChannelClosed) -> None:
        """Fail every request with `error`, and every later one."""
        self.error = error
        for pending in self._pending.values():
            pending.settle(error)
        self._pending.clear()
        self._abandoned.clear()

    def _take_abandoned(self, identity: int, header: dict[str, Any]) -> None:
        if identity not in self._abandoned:
            raise ChannelProtocolError("the sandbox answered a request nobody made")
        if "stream" not in header:
            self._abandoned.discard(identity)

    def _expire(self, pending: Pending, timeout_s: float) -> None:
        if pending.identity in self._pending:
            self.abandon(pending)
            pending.settle(ToolTimeout(f"no answer within {timeout_s:g} s"))
