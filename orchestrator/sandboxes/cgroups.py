"""Control groups for sandboxes that no engine limits, where this process may make them.

Owns both generations of the kernel's interface: version 1 as root, version 2 as root
or in a delegated tree. Having none is no failure: then only per-process limits hold,
which `Group.limited` says. Refuses to touch groups it did not make.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from orchestrator.sandboxes.runtime import SandboxLimits

ROOT: Final = Path("/sys/fs/cgroup")
MEMBERSHIP: Final = Path("/proc/self/cgroup")
CPU_PERIOD_US: Final = 100_000
"""Microseconds over which the processor quota is counted."""

REMOVAL_TIMEOUT_S: Final = 2.0
"""Seconds in which the kernel must have taken the last process out of a group."""


_COUNTERS: Final = (
    ("memory.events", "memory.events"),
    ("memory.oom_control", "memory/memory.oom_control"),
    ("pids.events", "pids.events"),
    ("cpu.stat", "cpu.stat"),
)
"""Files of either generation that count what limits did, and their places beneath ROOT inside."""


@dataclass(frozen=True, slots=True)
class Group:
    """The directories that limit one sandbox, one per controller in version 1."""

    directories: tuple[str, ...]
    """Absolute paths; () where no group could be had."""

    @property
    def limited(self) -> bool:
        """Whether memory and processes of the sandbox as a whole are limited."""
        return bool(self.directories)

    def add(self, pid: int) -> None:
        """Put a process, and what it will start, into the group; raises OSError."""
        for directory in self.directories:
            Path(directory, "cgroup.procs").write_text(str(pid))

    def kills(self) -> int:
        """Return how many processes the kernel has ended here for want of memory."""
        for directory in self.directories:
            for name in ("memory.events", "memory.oom_control"):
                with suppress(OSError):
                    for line in Path(directory, name).read_text().splitlines():
                        if line.startswith("oom_kill "):
                            return int(line.split()[1])
        return 0

    def counters(self) -> list[tuple[str, str]]:
        """Return the files that count what its limits did, and where a container sees them."""
        found: list[tuple[str, str]] = []
        for directory in self.directories:
            for name, inside in _COUNTERS:
                path = os.path.join(directory, name)
                if os.path.exists(path):
                    found.append((path, f"{ROOT}/{inside}"))
        return found

    def remove(self) -> None:
        """Remove the group once its processes are gone; blocks up to REMOVAL_TIMEOUT_S."""
        deadline = time.monotonic() + REMOVAL_TIMEOUT_S
        for directory in self.directories:
            while True:
                try:
                    os.rmdir(directory)
                except FileNotFoundError:
                    break
                except OSError:
                    if time.monotonic() > deadline:
                        break
                    time.sleep(0.005)
                else:
                    break


def make(
    name: str, limits: SandboxLimits, *, root: Path = ROOT, membership: Path = MEMBERSHIP
) -> Group:
    """Make a group of this name with these limits; an empty one where that is not allowed.

    `root` is where the kernel shows its groups, `membership` the file that names one's own.
    """
    group = Group(())
    try:
        if (root / "cgroup.controllers").exists():
            parent = _own_parent(root, membership)
            group = Group((str(parent / name),))
            _make_unified(parent, name, limits)
        else:
            group = Group(tuple(str(root / each / name) for each in ("memory", "pids", "cpu")))
            _make_separate(group, limits)
    except OSError:
        group.remove()
        return Group(())
    return group


def _own_parent(root: Path, membership: Path) -> Path:
    """Return the group above one's own: one that has processes itself cannot be shared out."""
    for line in membership.read_text().splitlines():
        if line.startswith("0::"):
            own = root / line[3:].lstrip("/")
            return own if own == root else own.parent
    raise FileNotFoundError("no unified control group")


def _make_unified(parent: Path, name: str, limits: SandboxLimits) -> None:
    for controller in ("memory", "pids", "cpu"):
        # One at a time: what is there is used, and those that are needed are missed below.
        with suppress(OSError):
            (parent / "cgroup.subtree_control").write_text(f"+{controller}")
    directory = parent / name
    directory.mkdir(exist_ok=True)
    (directory / "memory.max").write_text(str(limits.memory_bytes))
    with suppress(FileNotFoundError, PermissionError):
        (directory / "memory.swap.max").write_text("0")
    (directory / "pids.max").write_text(str(limits.pids))
    # A user's own groups are often given no processors to share out. Memory and processes
    # are worth having without: what is not limited then, the scheduler shares fairly.
    with suppress(FileNotFoundError, PermissionError):
        quota = int(limits.cpus * CPU_PERIOD_US)
        (directory / "cpu.max").write_text(f"{quota} {CPU_PERIOD_US}")


def _make_separate(group: Group, limits: SandboxLimits) -> None:
    memory, pids, cpu = (Path(each) for each in group.directories)
    for directory in (memory, pids, cpu):
        directory.mkdir(exist_ok=True)
    (memory / "memory.limit_in_bytes").write_text(str(limits.memory_bytes))
    with suppress(FileNotFoundError):
        (memory / "memory.memsw.limit_in_bytes").write_text(str(limits.memory_bytes))
    (pids / "pids.max").write_text(str(limits.pids))
    (cpu / "cpu.cfs_period_us").write_text(str(CPU_PERIOD_US))
    (cpu / "cpu.cfs_quota_us").write_text(str(int(limits.cpus * CPU_PERIOD_US)))
