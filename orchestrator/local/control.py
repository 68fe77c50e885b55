"""Who uses the stack: a unix socket that each client holds open while it lives.

Owns the count of users. The kernel closes a dead client's end, so that no client has
to say goodbye. One word is understood, `stop`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Final

_MAX_LINE_BYTES: Final = 256
_MAX_USERS: Final = 256
"""Clients counted at once; more are turned away."""


class Control:
    """The socket's server, inside the stack's process."""

    def __init__(self, path: Path, changed: Callable[[], None], stop: Callable[[], None]) -> None:
        """Call `changed` whenever a user comes or goes, and `stop` when one asks for the end."""
        self._path = path
        self._changed = changed
        self._stop = stop
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    @property
    def users(self) -> int:
        """Clients that hold the socket open."""
        return len(self._writers)

    async def open(self) -> None:
        """Listen, for this user alone."""
        self._path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(
                self._serve, str(self._path), limit=_MAX_LINE_BYTES
            )
        finally:
            os.umask(before)

    def refuse(self) -> None:
        """Take no further users; those there stay until `close`."""
        if self._server is not None:
            self._server.close()
        self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """End every connection, which tells the clients that the stack is gone."""
        self.refuse()
        for writer in list(self._writers):
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.users >= _MAX_USERS or not _same_user(writer):
            writer.close()
            return
        self._writers.add(writer)
        self._changed()
        try:
            with contextlib.suppress(OSError, ValueError):
                while line := await reader.readline():
                    if line.strip() == b"stop":
                        self._stop()
        finally:
            self._writers.discard(writer)
            writer.close()
            self._changed()


def _same_user(writer: asyncio.StreamWriter) -> bool:
    peer: socket.socket = writer.get_extra_info("socket")
    raw = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", raw)
    return uid in {0, os.getuid()}


def use_stack(path: str) -> socket.socket | None:
    """Return a connection that counts as a user while it is open; None when none is taken."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(path)
    except OSError:
        connection.close()
        return None
    return connection
