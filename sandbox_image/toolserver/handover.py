"""Taking over a listening socket that was made outside.

A container cannot inherit one from the process that had it made, so for a moment this server
listens at a name in the project that only its starter knows, is sent the socket by the first
who connects, and closes the door. Owns that moment. Refuses anything that is not a listening
unix socket, and never answers what it is sent.
"""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress

from sandbox_image.toolserver.environment import PRIVATE_DIRECTORY

PREFIX = "handover-"
"""What the names of such sockets begin with."""

PATIENCE_S = 20.0
"""Seconds for which somebody may hand a socket over."""


def checked(name: str) -> str:
    """Return a name that may be listened at; raises `ValueError` for any other."""
    if not name.startswith(PREFIX) or not name[len(PREFIX) :].isalnum():
        raise ValueError(f"--handover: {name!r} is no name of a handover")
    return name


class Door:
    """A socket in the project that waits for one visitor."""

    def __init__(self, name: str) -> None:
        """Listen at `name` in the project's private directory; raises `OSError`.

        The working directory is the project: its own path may be too long for a socket's.
        """
        _remove_old_ones()
        self._path = f"{PRIVATE_DIRECTORY}/{name}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # Set before the name exists, so that nobody else can connect in between.
            os.fchmod(self._socket.fileno(), 0o600)
            self._socket.bind(self._path)
            self._socket.listen(1)
        except OSError:
            self._socket.close()
            raise

    def receive(self) -> socket.socket | None:
        """Return the socket handed over, None when nobody came in time or it was none."""
        self._socket.settimeout(PATIENCE_S)
        try:
            visitor, _ = self._socket.accept()
            with visitor:
                visitor.settimeout(PATIENCE_S)
                # Room for one more than is wanted, so that a second is seen and closed.
                _, handles, _, _ = socket.recv_fds(visitor, 1, 2, socket.MSG_CMSG_CLOEXEC)
                return _listening(handles)
        except OSError:
            return None
        finally:
            self.close()

    def close(self) -> None:
        """Wait for nobody any more, and leave nothing behind."""
        self._socket.close()
        with suppress(OSError):
            os.unlink(self._path)


def _remove_old_ones() -> None:
    """Remove what a server that was killed in that moment left behind."""
    with suppress(OSError):
        for name in os.listdir(PRIVATE_DIRECTORY):
            if name.startswith(PREFIX):
                os.unlink(f"{PRIVATE_DIRECTORY}/{name}")


def _listening(handles: list[int]) -> socket.socket | None:
    """Return the one descriptor as a listening socket; anything else is closed."""
    if len(handles) == 1 and _is_listening(handles[0]):
        listener = socket.socket(fileno=handles[0])
        listener.setblocking(True)
        return listener
    for handle in handles:
        os.close(handle)
    return None


def _is_listening(handle: int) -> bool:
    if not stat.S_ISSOCK(os.fstat(handle).st_mode):
        return False
    seen = socket.socket(fileno=handle)
    try:
        accepts = seen.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
        return accepts and seen.family == socket.AF_UNIX
    finally:
        seen.detach()
