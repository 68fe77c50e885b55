"""Following events: from a place in the past to the present, each exactly once.

Owns when a stream ends and what happens while the store is away. Refuses to
buffer: a follower holds one page, whatever its reader's pace.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Collection
from typing import Final, NamedTuple

from orchestrator.domain.errors import (
    EventsTrimmed,
    InvalidArgument,
    SessionNotFound,
    StoreUnavailable,
)
from orchestrator.domain.events import EVENT_TYPES, Event
from orchestrator.domain.limits import KEEPALIVE_S
from orchestrator.store.facade import Store

PAGE_EVENTS: Final = 500
"""Events read at once."""

_STRIDE_S: Final = 0.1
"""Seconds over which events are gathered for a follower of few types."""

_AWAY_S: Final = 1.0
"""Seconds between attempts while the store does not answer."""


class Followed(NamedTuple):
    """One event and the cursor that resumes after it."""

    cursor: str
    event: Event


Page = list[Followed]
"""Events in order; an empty page only says that the stream is alive."""


class FollowService:
    """Reads events as they come."""

    def __init__(self, store: Store, keepalive_s: float = KEEPALIVE_S) -> None:
        """Read from `store`; an idle stream gets an empty page each `keepalive_s` seconds."""
        self._store = store
        self._keepalive_s = keepalive_s

    async def session(self, session_id: str, after: int) -> AsyncGenerator[Page, None]:
        """Return the pages after event number `after`, ending after `session.closed`.

        Raises, before the first page, SessionNotFound, or EventsTrimmed when the place is gone
        or never was.
        """
        first = await self._read(session_id, after)
        return self._follow_session(session_id, after, first)

    async def all(
        self, after: str | None, types: Collection[str] = ()
    ) -> AsyncGenerator[Page, None]:
        """Return the pages over all sessions after a cursor, or from now on without one.

        Only events of `types` when any are given. Raises EventsTrimmed, before the first page,
        when the place is gone, and InvalidArgument for a type that does not exist.
        """
        unknown = sorted(set(types) - EVENT_TYPES)
        if unknown:
            raise InvalidArgument(f"There are no events of type “{unknown[0][:40]}”.")
        cursor = await self._store.events.newest() if after is None else after
        if types:
            cursor, found = await self._store.events.read_types(cursor, PAGE_EVENTS, types)
            return self._follow_types(cursor, types, _followed_all(found))
        first = _followed_all(await self._store.events.read_all(cursor, PAGE_EVENTS))
        return self._follow_all(cursor, first)

    async def _read(self, session_id: str, after: int) -> Page:
        events = await self._store.events.read(session_id, after, PAGE_EVENTS)
        if not events and after > await self._store.events.last_seq(session_id):
            raise EventsTrimmed(
                f"Event {after} has not happened in this session. Load the transcript instead."
            )
        return [Followed(str(event.seq), event) for event in events]

    async def _follow_session(
        self, session_id: str, after: int, page: Page
    ) -> AsyncGenerator[Page, None]:
        with self._store.signals.watch(f"session:{session_id}") as watch:
            yield page
            while not await self._is_over(session_id, page):
                if page:
                    after = page[-1].event.seq
                try:
                    events = await self._store.events.read(session_id, after, PAGE_EVENTS)
                except (SessionNotFound, EventsTrimmed):
                    return
                except StoreUnavailable:
                    await asyncio.sleep(_AWAY_S)
                    yield []
                    continue
                page = [Followed(str(event.seq), event) for event in events]
                if page or not await watch.wait(self._keepalive_s):
                    yield page

    async def _is_over(self, session_id: str, page: Page) -> bool:
        """Say whether the story has ended: closed, and not begun again by a resume."""
        if not page or page[-1].event.type != "session.closed":
            return False
        try:
            return await self._store.sessions.find(session_id) is None
        except StoreUnavailable:
            return False

    async def _follow_all(self, cursor: str, page: Page) -> AsyncGenerator[Page, None]:
        with self._store.signals.watch("all") as watch:
            yield page
            while True:
                if page:
                    cursor = page[-1].cursor
                try:
                    page = _followed_all(await self._store.events.read_all(cursor, PAGE_EVENTS))
                except EventsTrimmed:
                    return
                except StoreUnavailable:
                    page = []
                    await asyncio.sleep(_AWAY_S)
                    yield page
                    continue
                if page or not await watch.wait(self._keepalive_s):
                    yield page

    async def _follow_types(
        self, cursor: str, types: Collection[str], page: Page
    ) -> AsyncGenerator[Page, None]:
        """Follow what happens seldom in a stream in which much does: look at it in strides."""
        with self._store.signals.watch("all") as watch:
            yield page
            spoke_at = time.monotonic()
            while True:
                woken = await watch.wait(self._keepalive_s)
                await asyncio.sleep(_STRIDE_S if woken else 0)
                before = cursor
                try:
                    cursor, found = await self._store.events.read_types(cursor, PAGE_EVENTS, types)
                except EventsTrimmed:
                    return
                except StoreUnavailable:
                    await asyncio.sleep(_AWAY_S)
                    found = []
                if cursor != before:
                    # There may be more than one look shows.
                    watch.wake()
                page = _followed_all(found)
                if page or time.monotonic() - spoke_at >= self._keepalive_s:
                    spoke_at = time.monotonic()
                    yield page


def _followed_all(read: list[tuple[str, Event]]) -> Page:
    return [Followed(cursor, event) for cursor, event in read]
