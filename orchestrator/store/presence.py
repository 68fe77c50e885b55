"""Presence (being built)."""

from __future__ import annotations

from typing import Any


class Presence:
    """Heartbeats of processes."""

    async def announce(self, kind: str, data: dict[str, Any], ttl_s: float) -> None:
        """Say that `kind` is alive for `ttl_s` seconds more."""
        raise NotImplementedError

    async def present(self, kind: str) -> dict[str, Any] | None:
        """Return what `kind` announced, None when it lapsed."""
        raise NotImplementedError

    async def withdraw(self, kind: str) -> None:
        """End an announcement early."""
        raise NotImplementedError
