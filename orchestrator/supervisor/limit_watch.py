"""Telling sessions of the limits that their sandboxes meet.

Owns one open request per sandbox: its tool server answers when a count changes, so an idle
session costs a line a few minutes. A connection that ends is made again while the sandbox is
served; counts are levels and the tool server keeps what was told of them, so nothing is lost in
between, and little is told twice. Refuses to act on a limit.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from orchestrator.domain.errors import JidoError, SessionNotFound
from orchestrator.sandboxes.channel import Channel
from orchestrator.store.facade import Store
from orchestrator.supervisor.lifecycle import Lifecycle
from orchestrator.supervisor.limit_counts import TOLD_EVERY_S, Counts, DiskNews, LimitNews
from orchestrator.supervisor.limit_events import disk_event, limit_event

LOOK_INTERVAL_S: Final = 3.0
"""Seconds between looks at which sandboxes there are, when none is new."""

RETRY_S: Final = (0.5, 3.0)
"""Seconds until a sandbox is reached for again that has just answered, and one that has not."""

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

    async def run(self) -> None:
        """Listen to whichever sandboxes there are, until cancelled."""
        try:
            while True:
                self._lifecycle.served_more.clear()
                self._match()
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_INTERVAL_S):
                        await self._lifecycle.served_more.wait()
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
        news, disk_news = LimitNews(), DiskNews()
        while True:
            wait_s = RETRY_S[1]
            try:
                path = str(self._channel_path(session_id))
                async with await Channel.connect(path) as channel:
                    wait_s = RETRY_S[0]
                    await self._listen(session_id, channel, news, disk_news)
            except SessionNotFound:
                # Closed meanwhile; the next look at who is served ends this.
                pass
            except JidoError as error:
                _log.debug("limits.unheard", session_id=session_id, code=error.code)
            await asyncio.sleep(wait_s)

    async def _listen(
        self, session_id: str, channel: Channel, news: LimitNews, disk_news: DiskNews
    ) -> None:
        version, wait_s = -1, SHORTEST_WAIT_S
        told: dict[str, int] = {}
        while True:
            arguments = {"after": version, "wait_s": wait_s, **told}
            timeout_s = wait_s + _ANSWER_GRACE_S
            reply = await channel.request("limits", arguments, timeout_s=timeout_s)
            counts = Counts.read(reply.result)
            # A count that never rests becomes no more than a line in each of these seconds.
            await asyncio.sleep(SHORTEST_WAIT_S)
            version = counts.version
            news.take(counts)
            self._lifecycle.heard(session_id, counts.hits["memory"], counts.disk.baseline)
            await self._tell(session_id, counts, news, disk_news)
            told = news.told()
            longest_s = TOLD_EVERY_S if disk_news.waits(counts.disk) else LONGEST_WAIT_S
            wait_s = max(SHORTEST_WAIT_S, news.wait_s(time.monotonic(), longest_s))

    async def _tell(
        self, session_id: str, counts: Counts, news: LimitNews, disk_news: DiskNews
    ) -> None:
        now = time.monotonic()
        due, disk_due = news.due(now), disk_news.due(counts.disk, now)
        if not due and not disk_due:
            return
        intents = await self._store.sessions.intents()
        intent = next((each for each in intents if each.session_id == session_id), None)
        if intent is not None:
            told = [limit_event(kind, count, intent) for kind, count in due]
            told += [disk_event(what, counts.disk, intent) for what in disk_due]
            await self._store.events.append(session_id, told)
            _log.info("sandbox.limits", session_id=session_id, hits=dict(due), disk=disk_due)
