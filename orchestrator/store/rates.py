"""Rate limits over sliding windows, shared by every process."""

from __future__ import annotations

from typing import NamedTuple

from orchestrator.domain.errors import TooManyRequests
from orchestrator.domain.ids import new_id
from orchestrator.store import keys
from orchestrator.store.connection import Argument, Connection


class Rate(NamedTuple):
    """At most `limit` uses of `name` in any `window_s` seconds."""

    name: str
    limit: int
    window_s: float


class Rates:
    """Sliding windows over what may not happen too often."""

    def __init__(self, connection: Connection) -> None:
        """Count over `connection`."""
        self._connection = connection

    async def take(self, *rates: Rate) -> None:
        """Use all of `rates` once, or none.

        Raises TooManyRequests(retry_after_s=) with the seconds until all have room.
        """
        arguments: list[Argument] = [new_id()]
        for rate in rates:
            arguments += [rate.limit, int(rate.window_s * 1000)]
        names = [keys.rate(rate.name) for rate in rates]
        wait_ms = int(await self._connection.run("rates", names, arguments))
        if wait_ms:
            seconds = -(-wait_ms // 1000)
            raise TooManyRequests(
                f"Too often. Try again in {seconds} seconds.", retry_after_s=seconds
            )
