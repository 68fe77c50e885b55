"""The process of an embedded stack: `python -m orchestrator.local.main`.

Owns the lines by which its starter learns how it fares: `ready URL` or `failed REASON`,
and `kept` when it goes on for others. Everything else goes to the logs of its children.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Callable

from orchestrator.domain.errors import JidoError
from orchestrator.local.stack import Stack
from orchestrator.settings import Settings, load_settings


def run_stack(
    settings: Settings, listener: socket.socket, tell: Callable[[str], None], *, tied: bool
) -> None:
    """Run a stack until it is stopped, telling `ready URL` and `kept`.

    Raises JidoError when it cannot start.
    """
    asyncio.run(Stack(settings, listener, tied=tied).run(tell))


def main(arguments: list[str] | None = None) -> int:
    """Run on the lock and the listening socket that were inherited; return an exit code."""
    parser = argparse.ArgumentParser(prog="jido stack")
    parser.add_argument("--lock-fd", type=int, required=True)
    parser.add_argument("--listen-fd", type=int, required=True)
    parser.add_argument("--tied", action="store_true")
    given = parser.parse_args(arguments)
    # The lock is held by this process alone, not by its children.
    os.set_inheritable(given.lock_fd, False)
    listener = socket.socket(fileno=given.listen_fd)
    try:
        run_stack(load_settings(), listener, lambda url: _tell(f"ready {url}"), tied=given.tied)
    except JidoError as error:
        _tell(f"failed {error.detail}")
        return 6
    return 0


def _tell(line: str) -> None:
    """Write one line to the starter, which may be gone."""
    with contextlib.suppress(OSError):
        os.write(sys.stdout.fileno(), (" ".join(line.split()) + "\n").encode())


if __name__ == "__main__":
    sys.exit(main())
