"""Rates (being built)."""

from __future__ import annotations

from typing import NamedTuple


class Rate(NamedTuple):
    """At most `limit` uses of `name` in `window_s` seconds."""

    name: str
    limit: int
    window_s: float


class Rates:
    """Sliding windows."""

    async def take(self, *rates: Rate) -> None:
        """Use all of `rates` once, or none; raises TooManyRequests(retry_after_s=)."""
        raise NotImplementedError
