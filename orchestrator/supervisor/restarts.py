"""How often a sandbox may crash before it is given up.

Owns the count of restarts within a sliding window and the wait before each.
Refuses a clock: the caller says what time it is.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from orchestrator.domain.limits import MAX_RESTARTS, RESTART_WINDOW_S

FIRST_WAIT_S: Final = 0.25
"""Seconds before the second restart in a window; the first comes at once."""

LAST_WAIT_S: Final = 4.0
"""Seconds that this wait doubles up to."""


class RestartBudget:
    """The restarts of one session."""

    def __init__(self, maximum: int = MAX_RESTARTS, window_s: float = RESTART_WINDOW_S) -> None:
        """Allow `maximum` restarts within `window_s` seconds; 0 allows none."""
        self._maximum = maximum
        self._window_s = window_s
        self._times: deque[float] = deque()

    def take(self, now: float) -> float | None:
        """Count a restart at `now`, in seconds; return the wait before it, None when spent."""
        while self._times and now - self._times[0] > self._window_s:
            self._times.popleft()
        if len(self._times) >= self._maximum:
            return None
        self._times.append(now)
        earlier = len(self._times) - 1
        return 0.0 if not earlier else min(FIRST_WAIT_S * 2.0 ** (earlier - 1), LAST_WAIT_S)

    def reset(self) -> None:
        """Forget every restart, as after one that a person asked for."""
        self._times.clear()
