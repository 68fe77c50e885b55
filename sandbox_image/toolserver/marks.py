"""Marks that tie processes to the command that started them, and ending all that carry one.

A mark is an environment variable and, beside it, the value of a resource limit that the kernel
keeps but no longer uses: children inherit it whatever they do to their environment, their
session or their parents. They can only lower it, so each command gets a lower one than those
before it, by a step that nobody can guess: what is lower than all is hiding, and told by its
parents, or by having none, whose it is.
"""

from __future__ import annotations

import os
import resource
import signal
import time
from contextlib import suppress
from threading import Lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

MARKER = "JIDO_COMMAND"
"""Environment variable that holds the mark."""

_LIMIT = 10
"""RLIMIT_LOCKS, which Linux ignores since 2.4; Python has no name for it."""

_HIGHEST = 1 << 62
"""Where the values begin, unless this server itself may have less."""

_SPREAD_BYTES = 6
"""Random bytes by which servers that see one another begin at different values."""

_STEP_BYTES = 3
"""Random bytes of one step."""

_KILL_TIME_S = 5.0
"""Seconds spent on processes that multiply while they are killed."""

_FEW = 16
"""Processes that are killed at once; more are stopped first, so that none forks meanwhile."""

_GENERATIONS = 64
"""Ancestors of a process that hides that are looked at."""

_UNREAPED = frozenset("ZX")
_SANDBOX_PARENT = 1

_first = _lowest = 0
"""The first and the last value given; 0 before any."""
_starting = Lock()


def start_marked(start: Callable[[str], int]) -> tuple[int, str]:
    """Call `start` with a mark no other command of this server has; it starts a process.

    Returns the pid and the mark, which everything that process starts inherits.
    """
    with _starting:
        value = _next_value()
        marker = f"{os.getpid()}-{value}"
        with suppress(OSError, ValueError):
            resource.setrlimit(_LIMIT, (value, value))
        return start(marker), marker


def _next_value() -> int:
    global _first, _lowest
    step = 1 + int.from_bytes(os.urandom(_STEP_BYTES), "big")
    if not _lowest:
        _, own = resource.getrlimit(_LIMIT)
        spread = int.from_bytes(os.urandom(_SPREAD_BYTES), "big")
        _lowest = own if own != resource.RLIM_INFINITY else _HIGHEST - spread
        _first = _lowest - step
    _lowest -= step
    return _lowest


def _value_of(marker: str) -> int:
    return int(marker.partition("-")[2])


def kill_tree(leader: int | None, marker: str) -> None:
    """Kill a process group and every process that carries the mark or hides it."""
    if leader is not None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(leader, signal.SIGKILL)
    value, variable = _value_of(marker), f"{MARKER}={marker}".encode()

    def doomed(pid: int) -> bool:
        limits = _limits_of(pid)
        if value in limits or variable in _environment_of(pid):
            return True
        return _hides(limits) and _origin_of(pid) in (None, value)

    _kill_all(doomed)


def kill_all_marked(spared: str | None) -> None:
    """Kill every process that any command of this server started, but those of one mark."""
    left = None if spared is None else _value_of(spared)
    prefix, variable = f"{MARKER}={os.getpid()}-".encode(), f"{MARKER}={spared}".encode()

    def doomed(pid: int) -> bool:
        limits = _limits_of(pid)
        given = [each for each in limits if _lowest <= each <= _first]
        if given:
            return left not in given
        if _hides(limits):
            return left is None or _origin_of(pid) != left
        marks = [each for each in _environment_of(pid) if each.startswith(prefix)]
        return bool(marks) and variable not in marks

    _kill_all(doomed)


def _hides(limits: tuple[int, ...]) -> bool:
    """Whether a process lowered its limit; where others than this server's may be in sight, that
    tells nothing."""
    return os.getppid() == _SANDBOX_PARENT and any(0 <= each < _lowest for each in limits[1:])


def _origin_of(pid: int) -> int | None:
    """Return the value of the next ancestor that does not hide; None when there is none."""
    for _ in range(_GENERATIONS):
        pid = _parent_of(pid)
        limits = _limits_of(pid)
        if pid <= _SANDBOX_PARENT or pid == os.getpid() or not limits:
            return None
        if limits[1] >= _lowest:
            return limits[1]
    return None


def _kill_all(doomed: Callable[[int], bool]) -> None:
    deadline = time.monotonic() + _KILL_TIME_S
    stopped: set[int] = set()
    killed: set[int] = set()
    # What was killed may take a while to end, but starts nothing any more.
    while (left := _living(doomed) - killed) and time.monotonic() < deadline:
        new = left - stopped
        if new and len(left) > _FEW:
            _signal(new, signal.SIGSTOP)
            stopped |= new
        else:
            _signal(left, signal.SIGKILL)
            killed |= left


def _signal(processes: set[int], number: signal.Signals) -> None:
    for pid in processes:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _living(wanted: Callable[[int], bool]) -> set[int]:
    """Processes but this one that are `wanted` and not dead already."""
    found = {int(name) for name in os.listdir("/proc") if name.isdigit()}
    return {pid for pid in found - {os.getpid()} if wanted(pid) and _alive(pid)}


def _limits_of(pid: int) -> tuple[int, ...]:
    """Return the limit and how far it may be raised; nothing for a process that has gone."""
    try:
        return resource.prlimit(pid, _LIMIT)
    except (OSError, ValueError):
        return ()


def _alive(pid: int) -> bool:
    fields = _status_of(pid)
    return bool(fields) and fields[0] not in _UNREAPED


def _parent_of(pid: int) -> int:
    fields = _status_of(pid)
    return int(fields[1]) if len(fields) > 1 else 0


def _status_of(pid: int) -> list[str]:
    """State, parent and more of a process, behind its name; nothing when it has gone."""
    try:
        status = _read(f"/proc/{pid}/stat")
    except OSError:
        return []
    return status[status.rfind(b")") + 2 :].decode("ascii", "replace").split()


def _environment_of(pid: int) -> list[bytes]:
    """The environment a process was started with; empty when it cannot be read."""
    try:
        return _read(f"/proc/{pid}/environ").split(b"\0")
    except OSError:
        return []


def _read(path: str) -> bytes:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return b"".join(iter(lambda: os.read(handle, 1 << 20), b""))
    finally:
        os.close(handle)
