"""How much of the disk a session has added to its project, and what follows at the ceiling.

Owns the measuring: allocated blocks, never apparent sizes, in small slices of time, and only when
the file system's free space says that something was written. Owns the states ok, warning and full.
Refuses to be a quota: what is written between two looks is written.
"""

from __future__ import annotations

import os
import resource
import stat
import threading
import time
from contextlib import suppress

from sandbox_image.toolserver.errors import ToolFailure
from sandbox_image.toolserver.limits import Allowance, size

BUSY_INTERVAL_S = 0.25
"""Seconds between looks at the free space while something runs."""

IDLE_INTERVAL_S = 5.0
"""Seconds between them while nothing does."""

WAKEFUL_S = 2.0
"""Seconds after the last activity until it counts as nothing."""

LONGEST_TRUST_S = 30.0
"""Seconds a measurement counts when something may have been written since and free space did not
shrink: others may have freed as much."""

LEAST_STEP_BYTES = 256 * 1024
"""Bytes of free space that must be gone before the project is measured again."""

FULL_FILE_BYTES = 1024 * 1024
"""Bytes a file may have at the ceiling: enough for locks and indexes of what frees space."""

FULL_GROWTH_BYTES = 8 * 1024 * 1024
"""Bytes that may be added at the ceiling before everything that runs is ended again."""

LOW_FREE_BYTES = 1024**3
"""Bytes of free space below which the file system is nearly full; a twentieth, if that is less."""

_SLICE_ENTRIES = 64
"""Entries looked at without a pause, well under a millisecond."""

_CALM_PAUSE_S = 0.002
_URGENT_PAUSE_S = 0.0002
_MAX_DEPTH = 256
_MAX_LINKED = 100_000
_BLOCK_BYTES = 512
_REST = 4.0
"""Times the duration of a measurement that must pass before the next."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from os import _ScandirIterator


class Measured:
    """What a project takes."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.used_bytes = 0
        """Allocated, each file once however many names it has."""
        self.largest_bytes = 0
        """Apparent size of the largest file."""
        self._linked: set[tuple[int, int]] = set()

    def add(self, status: os.stat_result) -> None:
        """Count one file or directory."""
        if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            name = (status.st_dev, status.st_ino)
            if name in self._linked:
                return
            if len(self._linked) < _MAX_LINKED:
                self._linked.add(name)
        self.used_bytes += status.st_blocks * _BLOCK_BYTES
        if stat.S_ISREG(status.st_mode):
            self.largest_bytes = max(self.largest_bytes, status.st_size)


def measure(root: str, pause_s: float) -> Measured:
    """Measure everything beneath `root` on its own file system, resting after each slice.

    What cannot be opened counts as nothing, and so does what lies deeper than 256 directories.
    """
    measured = Measured()
    left = _SLICE_ENTRIES
    for status in _walk(root):
        measured.add(status)
        left -= 1
        if not left:
            left = _SLICE_ENTRIES
            time.sleep(pause_s)
    return measured


def _walk(root: str) -> Iterator[os.stat_result]:
    top = os.open(root, _DIRECTORY)
    device = os.fstat(top).st_dev
    handles = [top]
    listings = [os.scandir(top)]
    try:
        while handles:
            entry = next(listings[-1], None)
            if entry is None:
                listings.pop().close()
                os.close(handles.pop())
                continue
            try:
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode) and status.st_dev == device:
                    _descend(entry.name, handles, listings)
            except OSError:
                # It went meanwhile, or is closed to us.
                continue
            yield status
    finally:
        for listing in listings:
            listing.close()
        for handle in handles:
            os.close(handle)


def _descend(name: str, handles: list[int], listings: list[_ScandirIterator[str]]) -> None:
    if len(handles) >= _MAX_DEPTH:
        return
    handle = os.open(name, _DIRECTORY, dir_fd=handles[-1])
    try:
        listing = os.scandir(handle)
    except OSError:
        os.close(handle)
        raise
    handles.append(handle)
    listings.append(listing)


class DiskWatch:
    """Watches one project; `on_change` is called whenever what `describe` says has changed."""

    def __init__(self, root: str, allowance: Allowance) -> None:
        """Know nothing yet; `start` begins."""
        self._root = root
        self._warning = allowance.disk_warning_bytes
        self._ceiling = allowance.disk_bytes
        self._baseline: int | None = allowance.disk_baseline
        self._hard_limit: int | None = None
        self._free = 0
        self._free_then = 0
        self._measured_at = 0.0
        self._stirred_at = 0.0
        self._took_s = 0.0
        self._stopped_at = 0
        self._known = False
        self._wake = threading.Event()
        self._awake = True
        self.added = 0
        self.state = "ok"
        self.low = False

    @property
    def full(self) -> bool:
        """Whether the session has added more than it may."""
        return self.state == "full"

    def refuse_writing(self) -> None:
        """Raise `disk_limit` when the session may add nothing now."""
        if self.full:
            raise ToolFailure("disk_limit", self.words())

    def words(self) -> str:
        """Say what is full and what helps."""
        return (
            f"the session has added {size(self.added)} to its project, and {size(self._ceiling)} "
            "is what it may (JIDO_SANDBOX_DISK): remove files first; reading and removing work"
        )

    def describe(self) -> dict[str, object]:
        """Say what is known; a baseline of -1 while the project has never been measured."""
        return {
            "state": self.state,
            "added": self.added,
            "baseline": self._baseline if self._known and self._baseline is not None else -1,
            "free": self._free,
            "low": self.low,
        }

    def stir(self) -> None:
        """Look often from now on: something may be written. Costs nothing while that is so."""
        if not self._awake:
            self._awake = True
            self._wake.set()

    def look_again(self) -> None:
        """Measure at the next look, because something may have been removed."""
        if self.full:
            self._measured_at = 0.0

    def start(
        self, busy: Callable[[], bool], stop_all: Callable[[], None], changed: Callable[[], None]
    ) -> None:
        """Watch from now on: `stop_all` at the ceiling, `changed` when there is news."""

        def run() -> None:
            calm_at = 0.0
            while True:
                active = busy() or self.full
                if active or self._wake.is_set():
                    calm_at = time.monotonic() + WAKEFUL_S
                    self._wake.clear()
                # A project that is gone or out of reach for now cannot be measured.
                with suppress(OSError):
                    self._look(stop_all, changed)
                self._awake = time.monotonic() < calm_at
                if self._awake:
                    self._stirred_at = time.monotonic()
                self._wake.wait(BUSY_INTERVAL_S if self._awake else IDLE_INTERVAL_S)

        threading.Thread(target=run, daemon=True).start()

    def _look(self, stop_all: Callable[[], None], changed: Callable[[], None]) -> None:
        before = (self.state, self.low, self._known)
        self._take_free_space()
        if (self._warning or self._ceiling) and self._is_stale():
            self._measure()
            grown = self.added - self._stopped_at > FULL_GROWTH_BYTES
            if self.full and (before[0] != "full" or grown):
                self._stopped_at = self.added
                stop_all()
        if (self.state, self.low, self._known) != before:
            changed()

    def _take_free_space(self) -> None:
        space = os.statvfs(self._root)
        self._free = space.f_bavail * space.f_frsize
        self.low = self._free < min(LOW_FREE_BYTES, space.f_blocks * space.f_frsize // 20)

    def _is_stale(self) -> bool:
        if self._measured_at == 0.0:
            return True
        age = time.monotonic() - self._measured_at
        if age < self._took_s * _REST:
            return False
        if self._stirred_at > self._measured_at and age > LONGEST_TRUST_S:
            return True
        if self.state != "ok" and self._free - self._free_then >= LEAST_STEP_BYTES:
            return True
        return self._free_then - self._free >= self._step()

    def _step(self) -> int:
        """Bytes of free space that may go before a threshold can have been passed unseen."""
        ahead = [each - self.added for each in (self._warning, self._ceiling) if each > self.added]
        return max(LEAST_STEP_BYTES, min(ahead, default=0) // 8)

    def _measure(self) -> None:
        self._free_then = self._free
        begun = time.monotonic()
        first = self._baseline is None
        measured = measure(self._root, _CALM_PAUSE_S if first else _URGENT_PAUSE_S)
        self._measured_at = time.monotonic()
        self._took_s = self._measured_at - begun
        if self._baseline is None:
            self._baseline = measured.used_bytes
        self.added = max(0, measured.used_bytes - self._baseline)
        if self._ceiling and self._hard_limit is None:
            self._hard_limit = measured.largest_bytes + self._ceiling
        self._settle()
        self._known = True

    def _settle(self) -> None:
        if self._ceiling and self.added > self._ceiling:
            self.state = "full"
        elif self._warning and self.added > self._warning:
            self.state = "warning"
        else:
            self.state = "ok"
        self._limit_files()

    def _limit_files(self) -> None:
        """Let the kernel refuse files beyond the ceiling, and large ones while it is reached.

        What this process may, is what a command may that it starts.
        """
        if self._hard_limit is None:
            return
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        wanted = self._hard_limit if hard == resource.RLIM_INFINITY else min(hard, self._hard_limit)
        soft = min(wanted, FULL_FILE_BYTES) if self.full else wanted
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, wanted))
