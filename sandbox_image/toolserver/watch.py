"""Watching the limits of this sandbox, and telling whoever waits when one was reached.

Owns the counts since the server started and one thread that looks at them every few seconds:
three small files, and the processes while something runs. Counts are levels, so a reader that was
away misses nothing. Refuses to act: what is done about a limit is decided elsewhere.
"""

from __future__ import annotations

import errno
import threading
import time
from contextlib import suppress

from sandbox_image.toolserver.errors import ToolFailure
from sandbox_image.toolserver.limits import (
    Allowance,
    memory_kills,
    periods,
    refused_processes,
    throttled_periods,
)
from sandbox_image.toolserver.open_files import OpenFiles
from sandbox_image.toolserver.throttling import Throttling

LOOK_INTERVAL_S = 5.0
"""Seconds between looks when nothing else asks for one."""

COUNTS = ("memory_kills", "pids_refused", "files_refused", "cpu_throttled")
"""Names of the counts."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_OUT_OF_FILES = (errno.EMFILE, errno.ENFILE)


class LimitWatch:
    """The counts of one sandbox."""

    def __init__(self, allowance: Allowance) -> None:
        """Count from now on; the thread starts with `start`."""
        self.allowance = allowance
        self._memory = memory_kills()
        self._pids = refused_processes()
        self._periods, self._throttled = periods(), throttled_periods()
        self._throttling = Throttling(time.monotonic())
        self._open_files = OpenFiles()
        self._changed = threading.Condition()
        self._version = 0
        self._memory_kills = 0
        self._pids_refused = 0
        self._pids_seen = 0
        self._files_refused = 0
        self._cpu_throttled = 0
        self._started = time.time_ns()
        self._told = dict.fromkeys(COUNTS, 0)
        self.disk: Callable[[], dict[str, object]] = dict
        """What is known of the disk; `tell` says that it has changed."""

    @property
    def memory_kills(self) -> int:
        """Processes killed for want of memory, as of the last look."""
        return self._memory_kills

    def memory_words(self, *, killed: bool) -> bytes:
        """Return the line that tells a command's reader what memory did to it."""
        subject = "killed" if killed else "a process was killed"
        words = f"{subject}: the sandbox's {self.allowance.memory_words()} was reached\n"
        return words.encode()

    def start(self, busy: Callable[[], bool]) -> None:
        """Look every few seconds from now on, at the processes too while something is `busy`."""
        threading.Thread(target=self._look_for_ever, args=(busy,), daemon=True).start()

    def _look_for_ever(self, busy: Callable[[], bool]) -> None:
        while True:
            time.sleep(LOOK_INTERVAL_S)
            # What is short now may be there at the next look, for which this thread must live.
            with suppress(OSError, MemoryError):
                self.look()
                self._look_at_processors()
                if busy():
                    self._look_at_files()

    def _look_at_processors(self) -> None:
        ran, stopped = self._periods.value(), self._throttled.value()
        if self._throttling.met(time.monotonic(), ran, stopped):
            with self._changed:
                self._cpu_throttled += 1
                self._raise_version()

    def _look_at_files(self) -> None:
        found = self._open_files.look()
        if found:
            with self._changed:
                self._files_refused += found
                self._raise_version()

    def look(self) -> int:
        """Take the kernel's counts; returns how many processes it has killed for memory."""
        kills, refused = self._memory.value(), self._pids.value()
        with self._changed:
            if kills != self._memory_kills or refused != self._pids_refused:
                self._memory_kills, self._pids_refused = kills, refused
                self._raise_version()
        return kills

    def refused(self, number: int | None) -> None:
        """Count what the kernel refused this server itself, by its error number."""
        with self._changed:
            if number in _OUT_OF_FILES:
                self._files_refused += 1
            elif number == errno.EAGAIN:
                self._pids_seen += 1
            else:
                return
            self._raise_version()

    def tell(self) -> None:
        """Let waiting readers know that something has changed."""
        with self._changed:
            self._raise_version()

    def _raise_version(self) -> None:
        self._version += 1
        self._changed.notify_all()

    def acknowledge(self, name: str, count: int) -> None:
        """Keep how much of a count somebody has told, for whoever listens after them."""
        with self._changed:
            self._told[name] = max(self._told[name], count)

    def wait(self, after: int, wait_s: float, cancelled: Callable[[], bool]) -> dict[str, object]:
        """Return the counts once their version is not `after`, or after `wait_s` seconds."""
        deadline = time.monotonic() + wait_s
        with self._changed:
            while self._version == after and not cancelled():
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            if cancelled():
                raise ToolFailure("cancelled", "the wait was cancelled")
            return {
                "started": self._started,
                "version": self._version,
                "memory_kills": self._memory_kills,
                # The kernel counts what this server was refused too, where it counts at all.
                "pids_refused": max(self._pids_refused, self._pids_seen),
                "files_refused": self._files_refused,
                "cpu_throttled": self._cpu_throttled,
                "disk": self.disk(),
                "told": dict(self._told),
            }

    def wake(self) -> None:
        """Let waiting readers look whether they are still wanted."""
        with self._changed:
            self._changed.notify_all()
