"""Telling sessions of the limits that their sandboxes meet.

Owns one open request per sandbox: its tool server answers when a count changes, so an idle
session costs a line a few minutes. A connection that ends is made again while the sandbox is
served; counts are levels, so nothing is lost in between. Refuses to act on a limit.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from orchestrator.domain.errors import JidoError, SessionNotFound
from orchestrator.sandboxes.channel import Channel
from orchestrator.store.facade import Store
from orchestrator.supervisor.lifecycle import Lifecycle
from orchestrator.supervisor.limit_counts import Counts, LimitNews
from orchestrator.supervisor.limit_events import limit_event

LOOK_INTERVAL_S: Final = 3.0
"""Seconds between looks at which sandboxes there are; also between attempts to reach one."""

LONGEST_WAIT_S: Final = 300.0
"""Seconds after which a sandbox without news is asked again."""

SHORTEST_WAIT_S: Final = 0.5
"""Seconds between two requests of one sandbox at least, whatever it answers."""

_ANSWER_GRACE_S: Final = 15.0

_log = structlog.get_logger(__name__)


class LimitMonitor:
    """Listens to the tool servers of all sandboxes that are served."""

    def __init__(
        self, store: Store, lifecycle: Lifecycle, channel_path: Callable[[str], Path]
    ) -> None:
        """Tell `store` of the sandboxes that `lifecycle` serves at `channel_path`."""
        self._store = store
        self._lifecycle = lifecycle
        self._channel_path = channel_path
        self._followed: dict[str, asyncio.Task[None]] = {}
        self._began = time.time_ns()

    async def run(self) -> None:
        """Listen to whichever sandboxes there are, until cancelled."""
        try:
            while True:
                self._match()
                await asyncio.sleep(LOOK_INTERVAL_S)
        finally:
            tasks = list(self._followed.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _match(self) -> None:
        """Follow every served sandbox and no other."""
        served = self._lifecycle.served
        for session_id in [each for each in self._followed if each not in served]:
            self._followed.pop(session_id).cancel()
        for session_id in served:
            task = self._followed.get(session_id)
            if task is None or task.done():
                self._followed[session_id] = asyncio.create_task(self._follow(session_id))

    async def _follow(self, session_id: str) -> None:
        news = LimitNews()
        while True:
            try:
                path = str(self._channel_path(session_id))
                async with await Channel.connect(path) as channel:
                    await self._listen(session_id, channel, news)
            except SessionNotFound:
                # Closed meanwhile; the next look at who is served ends this.
                pass
            except JidoError as error:
                _log.debug("limits.unheard", session_id=session_id, code=error.code)
            await asyncio.sleep(LOOK_INTERVAL_S)

    async def _listen(self, session_id: str, channel: Channel, news: LimitNews) -> None:
        version, wait_s = -1, SHORTEST_WAIT_S
        while True:
            arguments = {"after": version, "wait_s": wait_s}
            timeout_s = wait_s + _ANSWER_GRACE_S
            reply = await channel.request("limits", arguments, timeout_s=timeout_s)
            counts = Counts.read(reply.result)
            # A count that never rests becomes no more than a line in each of these seconds.
            await asyncio.sleep(SHORTEST_WAIT_S)
            version = counts.version
            # An older tool server was followed by an earlier supervisor, who told of its counts.
            news.take(counts, is_new=counts.started > self._began)
            await self._tell(session_id, news)
            wait_s = max(SHORTEST_WAIT_S, news.wait_s(time.monotonic(), LONGEST_WAIT_S))

    async def _tell(self, session_id: str, news: LimitNews) -> None:
        due = news.due(time.monotonic())
        if not due:
            return
        intents = await self._store.sessions.intents()
        intent = next((each for each in intents if each.session_id == session_id), None)
        if intent is not None:
            told = [limit_event(kind, count, intent) for kind, count in due]
            await self._store.events.append(session_id, told)
            _log.info("sandbox.limits", session_id=session_id, hits=dict(due))
