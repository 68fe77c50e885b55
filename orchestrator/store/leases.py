"""Leases: which worker has a turn, and that it still lives.

Owns renewal. Taking and releasing belong to the stories of a turn, which do
them together with its status.
"""

from __future__ import annotations

from typing import Final

from orchestrator.domain.limits import LEASE_S
from orchestrator.store import keys
from orchestrator.store.connection import Connection

LEASE_MS: Final = int(LEASE_S * 1000)
"""Milliseconds after which a lease that nobody renews lapses."""


class Leases:
    """Who works on a turn; a lease lapses LEASE_S after its last renewal."""

    def __init__(self, connection: Connection) -> None:
        """Keep leases over `connection`."""
        self._connection = connection

    async def renew(self, turn_id: str, worker_id: str) -> bool:
        """Prolong the lease; False when it lapsed or is another's: stop working on the turn."""
        names = [keys.lease(turn_id)]
        return bool(await self._connection.run("renew", names, [worker_id, LEASE_MS]))

    async def holder(self, turn_id: str) -> str | None:
        """Return the worker that holds the turn; None when nobody does."""
        holder: str | None = await self._connection.ask("GET", keys.lease(turn_id))
        return holder
