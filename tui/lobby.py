"""Following which sessions there are, whoever opens and closes them.

Owns the stream over all sessions. Refuses what happens within one: that is its feed's.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence
from typing import Final

from tui.client import Api, Refused, Unreachable
from tui.feed import PAUSES_S, SILENCE_S, Tell, accepted
from tui.frames import frame_batches
from tui.state import fields
from tui.state.outcomes import ServerChanged, SessionAppeared, SessionGone, SessionsListed

PATH: Final = "/v1/events?types=session.created,session.closed"

FINAL: Final = frozenset({401, 403})
"""Statuses that no repetition changes."""


class Lobby:
    """The stream over all sessions."""

    def __init__(self, api: Api, tell: Tell) -> None:
        """Tell every outcome to `tell`."""
        self._api = api
        self._tell = tell
        self._attempt = 0

    async def run(self) -> None:
        """Follow until the server refuses for good."""
        while True:
            try:
                await self._follow()
            except Unreachable as fault:
                self._tell(ServerChanged("waiting", str(fault)))
            except Refused as refused:
                if refused.status in FINAL:
                    return
            pause = PAUSES_S[min(self._attempt, len(PAUSES_S) - 1)]
            self._attempt += 1
            await asyncio.sleep(pause * random.uniform(0.8, 1.2))

    async def _follow(self) -> None:
        async with self._api.http.stream("GET", PATH, None, {}, idle_timeout_s=SILENCE_S) as stream:
            await accepted(stream)
            self._attempt = 0
            # Listed once the stream stands, so that nothing happens unseen between the two.
            self._tell(SessionsListed(await self._api.sessions()))
            self._tell(ServerChanged("ready"))
            async for batch in frame_batches(stream.chunks()):
                self._take(batch)

    def _take(self, batch: Sequence[tuple[str, str]]) -> None:
        for name, data in batch:
            event = _parsed(data)
            record = fields.mapping(fields.mapping(event, "data"), "session")
            if name == "session.created":
                self._tell(SessionAppeared(record))
            elif name == "session.closed":
                self._tell(SessionGone(fields.raw(event, "session_id")))


def _parsed(data: str) -> dict[str, object]:
    try:
        event = json.loads(data)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}
