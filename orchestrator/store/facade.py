"""The store as one object (being built)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

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
    """Everything kept in Redis."""

    sessions: SessionStore
    events: EventStore
    turns: TurnStore
    history: HistoryStore
    signals: Signals
    requests: Requests
    leases: Leases
    presence: Presence
    queue: TurnQueue
    rates: Rates

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str) -> AsyncIterator[Store]:
        """Connect lazily; everything retries while the server is away."""
        raise NotImplementedError
        yield cls()

    async def ping(self, timeout_s: float = 1.0) -> None:
        """Raises StoreUnavailable within `timeout_s` seconds."""
        raise NotImplementedError
