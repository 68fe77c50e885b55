"""Who goes first: commands when memory runs out, and everybody else when processors are short."""

from __future__ import annotations

import os
import threading
from contextlib import suppress

_OOM_SCORE = b"500"
"""Added to a command's score for the out-of-memory killer, so that it goes before the server."""

COMMAND_NICE = 10
"""Niceness of commands: beside others that want the processors they get a tenth of a share."""

SCRIPT_NICE = 5
"""Niceness of the interpreter: scripts answer soon beside commands, and loops do little harm."""


class _ChildScores:
    """While entered, children start as the kernel's first choice when memory runs out.

    A score is inherited at the start only: raised afterwards it would miss what the child has
    forked by then. So this process has it for that moment too, and then its own again.
    """

    def __init__(self) -> None:
        """Raise nothing yet."""
        self._lock = threading.Lock()
        self._inside = 0
        self._file: int | None = None
        self._own = b"0"

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._write(_OOM_SCORE)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._write(self._own)

    def _write(self, score: bytes) -> None:
        # Where it cannot be written, all have the same score and the largest goes first.
        with suppress(OSError):
            if self._file is None:
                self._file = os.open("/proc/self/oom_score_adj", os.O_RDWR | os.O_CLOEXEC)
                self._own = os.read(self._file, 16).strip()
            os.pwrite(self._file, max(score, self._own, key=int), 0)


scored_first = _ChildScores()
"""What is started within is killed before this process when memory runs out."""


def run_last(group: int, nice: int) -> None:
    """Let this server, and whoever waits for it, run before a group of processes it started."""
    # The group, for what its leader has started by now; what starts later inherits it.
    with suppress(ProcessLookupError, PermissionError):
        os.setpriority(os.PRIO_PGRP, group, nice)
