"""When short processors count as a limit that was met.

Owns the rule: half of the time of two looks in a row was held back, counted once until a look in
which it was not. So a brief burst is none, and a build of an hour is one. Refuses a clock and the
kernel's files: the caller brings what they say.
"""

from __future__ import annotations

PERIOD_S = 0.1
"""Seconds of one of the kernel's periods of accounting, as every runtime sets them."""

LOOKS = 2
"""Looks in a row that must have been held back."""


class Throttling:
    """What one sandbox was held back since the last look."""

    def __init__(self, now: float) -> None:
        """Begin at `now`, in seconds, with nothing counted."""
        self._then = now
        self._periods = 0
        self._throttled = 0
        self._looks = 0

    def met(self, now: float, periods: int, throttled: int) -> bool:
        """Take the kernel's counts; say whether the limit is met now and was not before.

        `periods` are those in which something ran, `throttled` those in which it had to stop.
        """
        ran, stopped = periods - self._periods, throttled - self._throttled
        # While nothing runs no period passes, so a share of these alone would make a burst of a
        # moment the whole look; where periods are shorter, a share of the time alone would do so.
        whole = max(ran, (now - self._then) / PERIOD_S)
        self._then, self._periods, self._throttled = now, periods, throttled
        self._looks = self._looks + 1 if 2 * stopped >= whole > 0 else 0
        return self._looks == LOOKS
