"""Whether the terminal is still there.

Owns the one question a client without a terminal must ask: when a connection breaks, the
system does not always say so by a signal, and reading then returns nothing for ever.
"""

from __future__ import annotations

import select
from typing import Final

LOOK_S: Final = 2.0
"""Seconds between two looks."""

CODE: Final = 129
"""Exit code of a program that its terminal left, as a shell names it."""


def is_gone(descriptor: int) -> bool:
    """Say whether the other end of a terminal is closed."""
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(event & (select.POLLHUP | select.POLLNVAL) for _, event in poll.poll(0))
