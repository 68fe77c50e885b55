"""The time of records.

Owns that every stored time is UTC. Refuses to measure: durations use the monotonic clock.
"""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """Return the present time in UTC."""
    return datetime.now(UTC)
