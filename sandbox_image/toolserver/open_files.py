"""Processes of the sandbox that have as many files open as they may.

Owns looking for them: the kernel gives the lowest free descriptor, so a process that has the
highest one has met the limit, which takes one question to answer. A process that lowered its own
limit never has it. Asks nothing that a process could delay or word, and refuses to see what is so
only between two looks.
"""

from __future__ import annotations

import os
import resource
from itertools import islice

MAX_ENTRIES = 1024
"""Entries of /proc in one look, of which about sixty are no processes."""

SAMPLES = 16
"""Descriptors looked at where the highest is in use, spread over all that a process may have."""


class OpenFiles:
    """The processes that were found at the limit."""

    def __init__(self, limit: int | None = None) -> None:
        """Look for processes with `limit` files; None means as many as this one may have."""
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1] if limit is None else limit
        self._highest = hard - 1
        self._samples = [self._highest * each // SAMPLES for each in range(SAMPLES)]
        self._known: set[int] = set()

    def look(self) -> int:
        """Return how many processes are newly at the limit; each counts once while it lives."""
        try:
            with os.scandir("/proc") as entries:
                names = [entry.name for entry in islice(entries, MAX_ENTRIES)]
        except OSError:
            # This process itself is out of files, and counts that when it matters to somebody.
            return 0
        # What it is refused itself it counts where it is refused.
        living = {int(name) for name in names if name.isdigit()} - {os.getpid()}
        self._known &= living
        found = {pid for pid in living - self._known if self._is_full(pid)}
        self._known |= found
        return len(found)

    def _is_full(self, pid: int) -> bool:
        if not _is_open(pid, self._highest):
            return False
        # A program may ask for the highest by its number; it does not ask for half of them all.
        return 2 * sum(_is_open(pid, each) for each in self._samples) >= SAMPLES


def _is_open(pid: int, descriptor: int) -> bool:
    return os.path.lexists(f"/proc/{pid}/fd/{descriptor}")
