"""Timing loops.

Owns what is timed: each round alone, after some that do not count.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable


async def repeated(
    rounds: int, work: Callable[[], Awaitable[object]], *, warm_up: int = 1
) -> list[float]:
    """Return the milliseconds of each of `rounds` runs, after `warm_up` uncounted ones."""
    for _ in range(warm_up):
        await work()
    return [await timed(work) for _ in range(rounds)]


async def timed(work: Callable[[], Awaitable[object]]) -> float:
    """Return the milliseconds that `work` takes."""
    start = time.perf_counter()
    await work()
    return (time.perf_counter() - start) * 1000


def since(start: float) -> float:
    """Return the milliseconds since `start`, a reading of `time.perf_counter`."""
    return (time.perf_counter() - start) * 1000
