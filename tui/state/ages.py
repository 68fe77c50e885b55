"""How long ago something was, as people say it."""

from __future__ import annotations

from datetime import datetime


def age(seconds: float, moment: float) -> str:
    """Return how long ago something was; `moment` is when, in seconds since 1970."""
    minutes = int(max(0.0, seconds) // 60)
    if minutes < 1:
        return "just now"
    if minutes < 60:
        return f"{minutes} min ago"
    hours = minutes // 60
    if hours < 24:
        return f"{hours} h ago"
    if hours < 48:
        return "yesterday"
    if hours < 24 * 14:
        return f"{hours // 24} days ago"
    return datetime.fromtimestamp(moment).astimezone().date().isoformat()
