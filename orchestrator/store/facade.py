"""Everything kept in Redis as one object, opened once per process and event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from orchestrator.domain.errors import StoreUnavailable
from orchestrator.store.connection import Connection
from orchestrator.store.events import EventStore
from orchestrator.store.history import HistoryStore
from orchestrator.store.leases import Leases
from orchestrator.store.presence import Presence
from orchestrator.store.queue import TurnQueue
from orchestrator.store.rates import Rates
from orchestrator.store.requests import Requests
from orchestrator.store.sessions import SessionStore
from orchestrator.store.signals import Signals
from orchestrator.store.turns import TurnStore


class Store:
    """The rooms of the store, sharing one connection. Belongs to one event loop and process."""

    def __init__(self, url: str) -> None:
        """Prepare everything for `url` without connecting; prefer `open`, which also closes."""
        self._connection = Connection(url)
        self.sessions = SessionStore(self._connection)
        self.events = EventStore(self._connection)
        self.turns = TurnStore(self._connection)
        self.history = HistoryStore(self._connection)
        self.signals = Signals(self._connection)
        self.requests = Requests(self._connection)
        self.leases = Leases(self._connection)
        self.presence = Presence(self._connection)
        self.rates = Rates(self._connection)
        self.queue = TurnQueue(url)

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str) -> AsyncIterator[Store]:
        """Open the store at `url` for the length of the block.

        Connects at first use; while the server is away every call retries for some seconds
        before it raises StoreUnavailable.
        """
        store = cls(url)
        try:
            yield store
        finally:
            await store.close()

    async def ping(self, timeout_s: float = 1.0) -> None:
        """Return when the server answers; raises StoreUnavailable within `timeout_s` seconds."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._connection.ask("PING")
        except TimeoutError as error:
            raise StoreUnavailable(
                f"Redis did not answer within {timeout_s:g} seconds. Check that it runs."
            ) from error

    async def close(self) -> None:
        """Close every connection."""
        await self.signals.close()
        self.queue.close()
        await self._connection.close()
