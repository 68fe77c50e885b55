"""How often the screen is brought up to date.

Owns the interval: 20 times a second, less when a flush is dear or the terminal is slow.
"""

from __future__ import annotations

from typing import Final

QUICK_S: Final = 0.05
"""Seconds between flushes when all is well."""
SLOW_S: Final = 0.4
"""Seconds between flushes at most."""
DEAR_S: Final = 0.008
"""Seconds of one flush from which the pace halves."""
BACKLOG: Final = 4
"""Frames waiting for the terminal from which the pace halves."""


class Pace:
    """Adapts to what flushes cost."""

    def __init__(self) -> None:
        """Start quick."""
        self.interval = QUICK_S
        self._last = 0.0

    def delay(self, now: float) -> float:
        """Return seconds until the next flush may run; 0.0 when it may at once."""
        return max(0.0, self._last + self.interval - now)

    def flushed(self, started: float, ended: float, backlog: int) -> None:
        """Take note of a flush and of the frames that wait for the terminal."""
        self._last = ended
        if ended - started > DEAR_S or backlog >= BACKLOG:
            self.interval = min(SLOW_S, self.interval * 2)
        else:
            self.interval = max(QUICK_S, self.interval / 2)
