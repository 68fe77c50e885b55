"""A unix socket whose other end is served inside a sandbox, and which takes bytes alone.

Whoever serves it may send open files along with bytes. Those that nobody takes the kernel lets
go of within the very call of this process that meets them, and that lasts as long as their sender
likes: a TCP socket lingers. Owns that no call here waits for it. Linux from 6.16 refuses the
sender; before, they are taken and let go of by a process that ends, which waits for none of them.
"""

from __future__ import annotations

import array
import asyncio
import errno
import os
import socket
import subprocess
import sys
from contextlib import suppress
from threading import Thread
from typing import Final

SO_PASSRIGHTS: Final = 83
"""The option by which Linux lets a socket refuse open files."""

FULL_PAUSE_S: Final = 0.02
"""Seconds before another attempt where as many clients wait as the other end lets."""

_MAX_FILES: Final = 253
"""Open files that Linux lets come with one message."""

_FILES_BYTES: Final = socket.CMSG_SPACE(_MAX_FILES * array.array("i").itemsize)
_READ_BYTES: Final = 64 * 1024

_WAIT_FOR_END: Final = "import sys; sys.stdin.read()"


async def connect(path: str) -> socket.socket:
    """Connect; raises OSError. Has no end of its own while others wait: bound it."""
    made = unconnected()
    try:
        made.setblocking(False)
        while True:
            try:
                # The event loop's own way takes this refusal for a connection.
                made.connect(path)
                return made
            except BlockingIOError:
                await asyncio.sleep(FULL_PAUSE_S)
    except BaseException:  # raised again once cleaned up
        made.close()
        raise


def unconnected() -> socket.socket:
    """Return a new socket that is to be connected."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, SO_PASSRIGHTS, 0)
    except OSError:
        made.close()
        return TakingSocket()
    return made


class TakingSocket(socket.socket):
    """For kernels that refuse no files: takes them, fails, and never lets go of them itself."""

    def __init__(self, handle: int | None = None) -> None:
        """Make a socket, or take over the one behind `handle`."""
        super().__init__(socket.AF_UNIX, socket.SOCK_STREAM, fileno=handle)
        # Else an urgent byte is dropped as it is met, and its files with it.
        self.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Receive bytes; raises OSError when files came with them."""
        data, files = self._take(bufsize, flags)
        if files:
            Thread(target=_let_go, args=(files,), daemon=True).start()
            raise OSError(errno.EPROTO, "open files came along")
        return data

    def close(self) -> None:
        """Close once nothing is left to receive: the kernel would let go of it here."""
        with suppress(OSError):
            self.shutdown(socket.SHUT_RDWR)
        files = self._skim()
        if files:
            rest = TakingSocket(self.detach())
            Thread(target=rest._empty, args=(files,), daemon=True).start()
        else:
            super().close()

    def _take(self, size: int, flags: int = 0) -> tuple[bytes, list[int]]:
        flags |= socket.MSG_CMSG_CLOEXEC
        data, extras, _, _ = self.recvmsg(size, _FILES_BYTES, flags)
        files = array.array("i")
        for level, kind, content in extras:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                files.frombytes(content)
        return data, files.tolist()

    def _skim(self) -> list[int]:
        """Receive to the end, or to the first files; returns those."""
        with suppress(OSError):
            while True:
                data, files = self._take(_READ_BYTES)
                if files or not data:
                    return files
        return []

    def _empty(self, files: list[int]) -> None:
        while files:
            _let_go(files)
            files = self._skim()
        super().close()


def _let_go(files: list[int]) -> None:
    """Close open files, leaving the last hold on each to a process that ends."""
    command = [sys.executable, "-I", "-S", "-c", _WAIT_FOR_END]
    with subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=files, env={}):
        for each in files:
            os.close(each)
