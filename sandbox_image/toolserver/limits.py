"""What a sandbox may use, as its runtime said it, and what the kernel counted against it.

Owns the reading of the control group's counters, which a sandbox sees read-only, and the words
for a limit. Enforces nothing: memory and processes are the kernel's, disk is `disk`'s.
"""

from __future__ import annotations

import json
import os

_MEMORY_EVENTS = (
    "/sys/fs/cgroup/memory.events",
    "/sys/fs/cgroup/memory/memory.oom_control",
)
"""Where version 2 and version 1 of control groups count the processes killed for memory."""

_PIDS_EVENTS = ("/sys/fs/cgroup/pids.events", "/sys/fs/cgroup/pids/pids.events")
"""Where they count the processes that were refused."""

_CPU_EVENTS = (
    "/sys/fs/cgroup/cpu.stat",
    "/sys/fs/cgroup/cpu/cpu.stat",
    "/sys/fs/cgroup/cpu,cpuacct/cpu.stat",
)
"""Where they count periods of the quota of processors."""

_COUNTER_BYTES = 4096


class Allowance:
    """What this sandbox may use; 0 means unknown, or unlimited where that exists.

    `disk_baseline` is what the project took when its session began; None measures it now.
    """

    def __init__(self) -> None:
        """Know nothing yet."""
        self.memory_bytes = 0
        self.pids = 0
        self.disk_bytes = 0
        self.disk_warning_bytes = 0
        self.disk_baseline: int | None = None

    @classmethod
    def parse(cls, text: str) -> Allowance:
        """Read a JSON object of counts; raises `ValueError` for anything else."""
        values = json.loads(text)
        if not isinstance(values, dict):
            raise ValueError("--allowance is not a JSON object")
        allowance = cls()
        for name, value in values.items():
            if not hasattr(allowance, name) or type(value) is not int or value < 0:
                raise ValueError(f"--allowance: {name!r} is no count that is known")
            setattr(allowance, name, value)
        return allowance

    def memory_words(self) -> str:
        """Name the limit of memory."""
        return f"memory limit of {size(self.memory_bytes)}" if self.memory_bytes else "memory limit"

    def pids_words(self) -> str:
        """Name the limit of processes."""
        return f"limit of {self.pids} processes" if self.pids else "limit of processes"


def size(count: int) -> str:
    """Write a number of bytes for people."""
    value, unit = float(count), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.1f}".removesuffix(".0") + f" {unit}"


class Counter:
    """One counter of the kernel that only grows."""

    def __init__(self, paths: tuple[str, ...], word: str) -> None:
        """Read the line that begins with `word` of the first of `paths` that exists."""
        self._word = f"{word} "
        self._path = next((path for path in paths if os.path.exists(path)), None)
        self._first = self._read()
        self._last = 0

    def value(self) -> int:
        """Return the count since this was made; 0 where nothing counts."""
        # Where the file cannot be opened for now, nothing new is known: a count that fell would
        # be told again when it is back.
        self._last = max(self._last, self._read() - self._first)
        return self._last

    def _read(self) -> int:
        if self._path is None:
            return 0
        try:
            handle = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return 0
        try:
            text = os.read(handle, _COUNTER_BYTES).decode("ascii", "replace")
        except OSError:
            return 0
        finally:
            os.close(handle)
        for line in text.splitlines():
            if line.startswith(self._word):
                count = line[len(self._word) :].strip()
                # Another kernel's imitation may say something else.
                return int(count) if count.isdigit() else 0
        return 0


def memory_kills() -> Counter:
    """Return the counter of processes killed for want of memory."""
    return Counter(_MEMORY_EVENTS, "oom_kill")


def refused_processes() -> Counter:
    """Return the counter of processes refused by the limit of processes."""
    return Counter(_PIDS_EVENTS, "max")


def periods() -> Counter:
    """Return the counter of periods in which anything ran."""
    return Counter(_CPU_EVENTS, "nr_periods")


def throttled_periods() -> Counter:
    """Return the counter of those in which it was stopped because the quota was used up."""
    return Counter(_CPU_EVENTS, "nr_throttled")
