"""Become another program that ends when its parent does: `tether.py PARENT PROGRAM ARGS…`.

Runs by path with `python -I -S`, imports nothing of ours and costs some milliseconds.
The kernel sends SIGTERM when the parent dies, by whatever signal.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Replace this process by the program named after the parent's process number."""
    parent, program = int(arguments[0]), arguments[1:]
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        # The parent died before the kernel was asked to tell.
        sys.exit(0)
    try:
        os.execv(program[0], program)
    except OSError as error:
        sys.exit(f"jido: {program[0]} cannot be started: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
