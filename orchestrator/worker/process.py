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
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_PR_SET_PDEATHSIG: Final = 1
# Looked up once and before any fork: a freshly forked child should not load libraries.
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def die_with_parent(parent: int) -> None:
    """Have the kernel send SIGTERM to this process when its parent `parent` is gone."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def start(process: ForkProcess) -> None:
    """Start a process of `forked`; a signal that reaches it at its first moment is not lost.

    Until it has handlers of its own it has its parent's, which would take the signal for theirs.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def forked(name: str, target: Callable[..., None], *arguments: Any) -> ForkProcess:
    """Return a process for `start` that runs `target` with plain signal handling."""
    return _FORK.Process(
        name=name, target=_enter, args=(os.getpid(), target, arguments), daemon=False
    )


def _enter(parent: int, target: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    signal.set_wakeup_fd(-1)
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    die_with_parent(parent)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    target(*arguments)
