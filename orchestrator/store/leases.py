"""Leases (being built)."""

from __future__ import annotations


class Leases:
    """Who works on a turn; a lease lapses LEASE_S after its last renewal."""

    async def renew(self, turn_id: str, worker_id: str) -> bool:
        """Return False when the lease lapsed or is another's: stop working."""
        raise NotImplementedError

    async def holder(self, turn_id: str) -> str | None:
        """Return the worker that holds it."""
        raise NotImplementedError
