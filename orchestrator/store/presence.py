"""Presence: which processes live, by heartbeats that lapse."""

from __future__ import annotations

from typing import Any

from orchestrator.store import keys
from orchestrator.store.codec import decode_object, encode
from orchestrator.store.connection import Connection


class Presence:
    """What each kind of process says of itself while it lives."""

    def __init__(self, connection: Connection) -> None:
        """Keep heartbeats over `connection`."""
        self._connection = connection

    async def announce(self, kind: str, data: dict[str, Any], ttl_s: float) -> None:
        """Say that `kind` (supervisor, worker) lives, for `ttl_s` seconds from now."""
        await self._connection.ask(
            "SET", keys.presence(kind), encode(data), "PX", int(ttl_s * 1000)
        )

    async def present(self, kind: str) -> dict[str, Any] | None:
        """Return what `kind` announced; None when it lapsed or never did."""
        text = await self._connection.ask("GET", keys.presence(kind))
        return decode_object(text) if text else None

    async def withdraw(self, kind: str) -> None:
        """End an announcement before it lapses."""
        await self._connection.ask("DEL", keys.presence(kind))
