"""Wake-ups between processes: one pub/sub connection, many watches.

Owns that nothing is missed: a watch is woken when its subscription is confirmed
and again after each reconnection, so whoever reads first and waits then sees
all. Refuses content and queues: a wake-up is a flag, what is new is read from
the records.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Final

import structlog
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from orchestrator.store import keys
from orchestrator.store.connection import Connection

_IDLE_TOPIC: Final = "idle"
"""Subscribed when nothing else is, so that the connection always has something to wait for."""
_CHECK_S: Final = 15.0
"""Seconds without news after which the connection is tried."""
_BACKOFF_S: Final = (0.05, 0.1, 0.2, 0.5, 1.0)
"""Seconds between attempts to connect again; the last one stays."""

_log = structlog.get_logger(__name__)


class Watch:
    """A wake-up flag for one topic; a context manager that stops watching at its end."""

    def __init__(self, signals: Signals, topic: str) -> None:
        """Belong to `signals`; made by `Signals.watch` only."""
        self._signals = signals
        self.topic = topic
        self._flag = asyncio.Event()

    async def wait(self, timeout: float | None = None) -> bool:
        """Wait for a wake-up and take the flag down; False after `timeout` seconds.

        None waits for ever, 0 only looks.
        """
        if timeout is None or self._flag.is_set():
            await self._flag.wait()
        else:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._flag.wait()
        woken = self._flag.is_set()
        self._flag.clear()
        return woken

    def wake(self) -> None:
        """Put the flag up."""
        self._flag.set()

    def close(self) -> None:
        """Stop watching; closing twice is fine."""
        self._signals.forget(self)

    def __enter__(self) -> Watch:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop watching."""
        self.close()


class Signals:
    """Pub/sub over one connection, fanned out to watches. Topics are built in `keys`."""

    def __init__(self, connection: Connection) -> None:
        """Listen over `connection`, once something is watched."""
        self._connection = connection
        self._watches: defaultdict[str, set[Watch]] = defaultdict(set)
        self._changed = asyncio.Event()
        self._listener: asyncio.Task[None] | None = None

    def watch(self, topic: str) -> Watch:
        """Return a watch that `topic` wakes; needs a running event loop."""
        watch = Watch(self, topic)
        self._watches[topic].add(watch)
        self._changed.set()
        if self._listener is None:
            self._listener = asyncio.create_task(self._listen(), name="signals")
        return watch

    def forget(self, watch: Watch) -> None:
        """Stop waking `watch`."""
        remaining = self._watches.get(watch.topic)
        if remaining is not None:
            remaining.discard(watch)
            if not remaining:
                del self._watches[watch.topic]
            self._changed.set()

    async def publish(self, topic: str) -> None:
        """Wake every watch of `topic` in every process."""
        await self._connection.ask("PUBLISH", keys.channel(topic), "")

    @contextlib.asynccontextmanager
    async def listen(self) -> AsyncIterator[Signals]:
        """Listen for the length of the block, whether or not anything is watched in it."""
        try:
            yield self
        finally:
            await self.close()

    async def close(self) -> None:
        """Stop listening."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listener

    async def _listen(self) -> None:
        failures = 0
        while True:
            pubsub = self._connection.blocking.pubsub()
            try:
                await pubsub.subscribe(keys.channel(_IDLE_TOPIC))
                failures = 0
                await self._follow(pubsub)
            except* Exception as errors:  # noqa: BLE001 - whatever broke it, a new connection cures
                _log.info("signals_disconnected", error=str(errors.exceptions[0])[:200])
            finally:
                with contextlib.suppress(RedisError, OSError):
                    await pubsub.aclose()  # type: ignore[no-untyped-call]
            self._wake_all()
            await asyncio.sleep(_BACKOFF_S[min(failures, len(_BACKOFF_S) - 1)])
            failures += 1

    async def _follow(self, pubsub: PubSub) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_subscribed(pubsub))
            tasks.create_task(self._read(pubsub))

    async def _keep_subscribed(self, pubsub: PubSub) -> None:
        subscribed: set[str] = set()
        self._changed.set()
        while True:
            await self._changed.wait()
            self._changed.clear()
            wanted = set(self._watches)
            if wanted - subscribed:
                await pubsub.subscribe(*map(keys.channel, wanted - subscribed))
            if subscribed - wanted:
                await pubsub.unsubscribe(*map(keys.channel, subscribed - wanted))
            subscribed = wanted

    async def _read(self, pubsub: PubSub) -> None:
        while True:
            message = await pubsub.get_message(timeout=_CHECK_S)
            if message is not None and message["type"] in ("message", "subscribe"):
                self._wake(str(message["channel"]).removeprefix(keys.channel("")))

    def _wake(self, topic: str) -> None:
        for watch in self._watches.get(topic, ()):
            watch.wake()

    def _wake_all(self) -> None:
        for watches in self._watches.values():
            for watch in watches:
                watch.wake()
