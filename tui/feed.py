"""Following one session: its transcript once, its events from then on.

Owns reconnecting: after a break it goes on from the number it saw last, with growing pauses;
when that place is gone it reloads the transcript. Refuses to retry what cannot succeed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import quote

from tui.client import Api, Refused, Unreachable, refusal
from tui.frames import frame_batches
from tui.http import Answer, Stream
from tui.state import fields
from tui.state.outcomes import (
    HistoryLoaded,
    LinkChanged,
    Outcome,
    SessionChanged,
    SessionGone,
    Streamed,
    TasksLoaded,
    TurnsLoaded,
)
from tui.state.reduce_events import read_tasks

Tell = Callable[[Outcome], None]

SILENCE_S: Final = 45.0
"""Seconds without a byte until a stream counts as broken; the server speaks every 15."""
PAUSES_S: Final = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between attempts; the last one repeats."""
REPLAYED_EVENTS: Final = 500
"""Events of a busy session asked for again, to see the message and the ask under way."""
YOUNG_EVENTS: Final = 30
"""Events up to which a session has only just begun: what was told at its start is told again."""
FIRST_PAGE: Final = 100
"""Messages loaded before the first picture of a transcript: more than its end shows."""
DRAWN_S: Final = 0.15
"""Seconds that the first page has for being drawn, before older ones take the processor."""
MAX_PAGES: Final = 40
"""Pages of older messages loaded."""


class Feed:
    """The stream of one session."""

    def __init__(self, api: Api, session_id: str, tell: Tell) -> None:
        """Tell every outcome to `tell`."""
        self._api = api
        self._id = session_id
        self._tell = tell
        self._after = 0
        self._attempt = 0

    async def run(self) -> None:
        """Follow until the session is gone or the server refuses."""
        fresh = True
        while True:
            try:
                if fresh:
                    await self._load()
                    fresh = False
                await self._follow()
                self._attempt = max(self._attempt, 1)
            except Unreachable as fault:
                self._tell(LinkChanged(self._id, "waiting", str(fault)))
            except Refused as refused:
                if refused.status == 410:
                    fresh = True
                    continue
                if refused.status == 404:
                    self._tell(SessionGone(self._id))
                    return
                if refused.status in (401, 403):
                    self._tell(LinkChanged(self._id, "refused", refused.detail))
                    return
                self._tell(LinkChanged(self._id, "waiting", refused.detail))
            await asyncio.sleep(self._pause())

    def _pause(self) -> float:
        pause = PAUSES_S[min(self._attempt, len(PAUSES_S) - 1)]
        self._attempt += 1
        return pause * random.uniform(0.8, 1.2)

    async def _load(self) -> None:
        record = await self._api.session(self._id)
        self._tell(SessionChanged(record))
        seq = fields.integer(record, "last_seq")
        idle = fields.raw(record, "activity") == "idle" and not fields.raw(record, "turn_id")
        young = seq <= YOUNG_EVENTS or not fields.integer(record, "turns")
        self._after = seq if idle and not young else max(0, seq - REPLAYED_EVENTS)
        messages, older = await self._api.messages(self._id, limit=FIRST_PAGE)
        self._tell(HistoryLoaded(self._id, messages, after=self._after))
        with contextlib.suppress(Refused):
            self._tell(TurnsLoaded(self._id, await self._api.unfinished(self._id)))
        if older:
            await asyncio.sleep(DRAWN_S)
        for _ in range(MAX_PAGES):
            if not older:
                break
            messages, older = await self._api.messages(self._id, older)
            self._tell(HistoryLoaded(self._id, messages, older=True))
        self._tell(TasksLoaded(self._id, read_tasks(await self._api.todos(self._id))))

    async def _follow(self) -> None:
        path = f"/v1/sessions/{quote(self._id)}/events?after={self._after}"
        headers = {"Last-Event-ID": str(self._after)}
        async with self._api.http.stream(
            "GET", path, None, headers, idle_timeout_s=SILENCE_S
        ) as stream:
            await accepted(stream)
            self._attempt = 0
            self._tell(LinkChanged(self._id, "live"))
            async for batch in frame_batches(stream.chunks()):
                self._take(batch)
        self._tell(LinkChanged(self._id, "waiting", "The server ended the stream."))

    def _take(self, batch: Sequence[tuple[str, str]]) -> None:
        events = []
        for name, data in batch:
            event = _parsed(data)
            if name == "events_trimmed" or fields.raw(event, "code") == "events_trimmed":
                raise refusal(410, event)
            if fields.integer(event, "seq") > self._after:
                self._after = fields.integer(event, "seq")
                events.append(event)
        if events:
            self._tell(Streamed(self._id, events))


async def accepted(stream: Stream) -> None:
    """Raise the refusal that a stream answers with instead of opening."""
    if stream.status != 200:
        raise refusal(stream.status, Answer(stream.status, await stream.read()).json())


def _parsed(data: str) -> dict[str, object]:
    try:
        event = json.loads(data)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}
