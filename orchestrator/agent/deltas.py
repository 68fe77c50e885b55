"""Gathers small pieces of text into few events.

Owns the pace: the first piece at once, then at most one event each interval.
Refuses order of its own: whoever emits anything else flushes first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from orchestrator.domain.events import EventType, NewEvent
from orchestrator.domain.limits import DELTA_INTERVAL_S

Emit = Callable[[list[NewEvent]], Awaitable[None]]


class DeltaBuffer:
    """Pieces of text, joined while type and fields stay the same."""

    def __init__(self, emit: Emit, interval_s: float = DELTA_INTERVAL_S) -> None:
        self._emit = emit
        self._interval_s = interval_s
        self._waiting: list[NewEvent] = []
        self._pieces: list[str] = []
        self._due = 0.0
        self._timer: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()
        self._failure: BaseException | None = None

    async def add(self, kind: EventType, fields: dict[str, Any], text: str) -> None:
        """Take one piece; emits when the interval is over, else lets a timer do it."""
        self.put(kind, fields, text)
        if asyncio.get_running_loop().time() >= self._due:
            await self.flush()

    def put(self, kind: EventType, fields: dict[str, Any], text: str) -> None:
        """Take one piece without waiting; the timer emits it."""
        if not text:
            return
        last = self._waiting[-1] if self._waiting else None
        if last is None or last.type != kind or last.data != fields:
            self._seal()
            self._waiting.append(NewEvent(type=kind, data=dict(fields)))
        self._pieces.append(text)
        if self._timer is None or self._timer.done():
            self._timer = asyncio.create_task(self._flush_later())

    def _seal(self) -> None:
        if self._waiting and self._pieces:
            last = self._waiting[-1]
            self._waiting[-1] = NewEvent(
                type=last.type, data={**last.data, "text": "".join(self._pieces)}
            )
        self._pieces = []

    async def _flush_later(self) -> None:
        await asyncio.sleep(max(0.0, self._due - asyncio.get_running_loop().time()))
        try:
            await self._flush()
        except Exception as error:  # noqa: BLE001 - raised again to whoever flushes next
            self._failure = error

    async def flush(self) -> None:
        """Emit what waits; raises what an emission by the timer raised."""
        await self._flush()
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    async def close(self) -> None:
        """Stop the timer; what waits is dropped, so flush first."""
        timer, self._timer = self._timer, None
        if timer is not None and not timer.done():
            timer.cancel()
            await asyncio.gather(timer, return_exceptions=True)

    async def _flush(self) -> None:
        async with self._lock:
            self._seal()
            waiting, self._waiting = self._waiting, []
            if waiting:
                self._due = asyncio.get_running_loop().time() + self._interval_s
                await self._emit(waiting)
