"""Marks that tie processes to the command that started them, and ending all that carry one.

A mark is an environment variable and, beside it, the value of a resource limit that the kernel
keeps but no longer uses: children inherit it whatever they do to their environment, their
session or their parents.
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

_KILL_TIME_S = 5.0
"""Seconds spent on processes that multiply while they are killed."""

_FEW = 16
"""Processes that are killed at once; more are stopped first, so that none forks meanwhile."""

_UNREAPED = frozenset("ZX")

_counter = 0
_starting = Lock()


def next_marker() -> str:
    """Return a mark no other command of this server has."""
    global _counter
    _counter += 1
    return f"{os.getpid()}-{_counter}"


def _value_of(marker: str) -> int:
    process, _, number = marker.partition("-")
    return (int(process) << 32) + int(number)


def start_marked(marker: str | None, start: Callable[[], int]) -> int:
    """Call `start`, which starts a process and returns its pid, so that it inherits the mark."""
    if marker is None:
        return start()
    with _starting:
        with suppress(OSError, ValueError):
            _, hard = resource.getrlimit(_LIMIT)
            resource.setrlimit(_LIMIT, (_value_of(marker), hard))
        return start()


def kill_tree(leader: int | None, marker: str) -> None:
    """Kill a process group and every process that carries the mark."""
    if leader is not None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(leader, signal.SIGKILL)
    value, variable = _value_of(marker), f"{MARKER}={marker}".encode()
    _kill_all(lambda pid: _limit_of(pid) == value or variable in _environment_of(pid))


def kill_all_marked(spared: str | None) -> None:
    """Kill every process that any command of this server started, but those of one mark."""
    own, left = os.getpid(), None if spared is None else _value_of(spared)
    prefix, variable = f"{MARKER}={own}-".encode(), f"{MARKER}={spared}".encode()

    def doomed(pid: int) -> bool:
        value = _limit_of(pid)
        if value is not None and value >> 32 == own:
            return value != left
        marks = [each for each in _environment_of(pid) if each.startswith(prefix)]
        return bool(marks) and variable not in marks

    _kill_all(doomed)


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


def _limit_of(pid: int) -> int | None:
    try:
        return resource.prlimit(pid, _LIMIT)[0]
    except (OSError, ValueError):
        return None


def _alive(pid: int) -> bool:
    try:
        status = _read(f"/proc/{pid}/stat")
    except OSError:
        return False
    return chr(status[status.rfind(b")") + 2]) not in _UNREAPED if status else False


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
