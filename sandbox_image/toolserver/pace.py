"""How fast a command's output may leave the sandbox while somebody follows it.

Output without an end would keep everything busy that passes it on, for other sessions too. What a
command says in a while is passed on at once; beyond that it is read slower, and so written slower.
Refuses a clock: the caller says what time it is, and sleeps.
"""

from __future__ import annotations

BURST_BYTES = 64 * 1024 * 1024
"""Bytes passed on at full speed after a rest."""

RATE_BYTES = 32 * 1024 * 1024
"""Bytes a second beyond them, and how fast the burst comes back."""

LONGEST_WAIT_S = 0.05
"""Seconds of one wait, so that an end is noticed soon; the rest is waited for next time."""


class Pace:
    """The pace of one command."""

    def __init__(self, now: float) -> None:
        """Begin rested at `now`, in seconds."""
        self._left = float(BURST_BYTES)
        self._then = now

    def wait_s(self, count: int, now: float) -> float:
        """Count bytes as passed on at `now`; return how long to wait before the next."""
        self._left = min(BURST_BYTES, self._left + (now - self._then) * RATE_BYTES) - count
        self._then = now
        return min(LONGEST_WAIT_S, max(0.0, -self._left / RATE_BYTES))
