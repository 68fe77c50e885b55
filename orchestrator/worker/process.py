"""Processes that a worker forks: how they start and that none outlives its parent.

Owns the explicit `fork`: Python's default start method is another one, and only
a fork shares what the parent imported. Refuses to know what the processes do.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
from collections.abc import Callable
from multiprocessing.context import ForkProcess
from typing import Any, Final

_FORK: Final = multiprocessing.get_context("fork")
_PR_SET_PDEATHSIG: Final = 1
# Looked up once and before any fork: a freshly forked child should not load libraries.
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def die_with_parent(parent: int) -> None:
    """Have the kernel send SIGTERM to this process when its parent `parent` is gone."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def forked(name: str, target: Callable[..., None], *arguments: Any) -> ForkProcess:
    """Return a process, not yet started, that runs `target` with plain signal handling."""
    return _FORK.Process(
        name=name, target=_enter, args=(os.getpid(), target, arguments), daemon=False
    )


def _enter(parent: int, target: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    die_with_parent(parent)
    target(*arguments)
