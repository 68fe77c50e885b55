"""Handing a container's tool server the socket that its session's channel is reached by.

A container inherits no descriptor, and a socket of ours mounted into it would stay there for
whatever runs inside. So its tool server waits for a moment at a random name in the project,
before anything else runs in the sandbox; this side goes there once and sends the socket. Owns
that visit. Follows no link, reads nothing that is said there, and never waits for the other side.
"""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
import socket
import stat
from dataclasses import dataclass
from typing import Final

from orchestrator.sandboxes import byte_socket
from orchestrator.sandboxes.project_layout import UnsafeLayout, open_directory

HANDOVER_TIMEOUT_S: Final = 2.0
"""Seconds from the container's start in which its tool server must wait at the name."""

PAUSE_S: Final = 0.002
"""Seconds between looks: a directory of another namespace tells nobody of a new name."""

_PREFIX: Final = "handover-"
_PRIVATE: Final = ".jido_code"


class HandoverFailed(Exception):
    """The tool server cannot be handed a socket; it is reached through the engine then."""


@dataclass(frozen=True, slots=True)
class Handover:
    """Where a tool server waits."""

    project_path: str
    """Absolute real path of its project."""

    name: str
    """Name of the socket in the project's private directory."""

    @classmethod
    def of(cls, project_path: str) -> Handover:
        """Agree on a name that nothing in the project can know before."""
        return cls(project_path, _PREFIX + secrets.token_hex(8))


async def hand_over(handover: Handover, listener: socket.socket) -> None:
    """Send `listener`, which stays the caller's to close; raises HandoverFailed."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + HANDOVER_TIMEOUT_S
    try:
        while not await _in_thread(handover, listener):
            if clock() > deadline:
                raise HandoverFailed("nobody waits for it")
            await asyncio.sleep(PAUSE_S)
    except (OSError, UnsafeLayout) as error:
        raise HandoverFailed(str(error)) from error


async def _in_thread(handover: Handover, listener: socket.socket) -> bool:
    visit = asyncio.ensure_future(asyncio.to_thread(_visit, handover, listener))
    try:
        return await asyncio.shield(visit)
    except asyncio.CancelledError:
        # The descriptor may be another's as soon as the caller has closed it.
        await asyncio.wait({visit})
        raise


def _visit(handover: Handover, listener: socket.socket) -> bool:
    """Go there once; False when nobody waits yet. Raises OSError, UnsafeLayout."""
    with (
        open_directory(handover.project_path) as project,
        open_directory(_PRIVATE, project) as private,
    ):
        flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            place = os.open(handover.name, flags, dir_fd=private)
        except FileNotFoundError:
            return False
    try:
        if not stat.S_ISSOCK(os.fstat(place).st_mode):
            raise OSError(errno.ENOTSOCK, os.strerror(errno.ENOTSOCK))
        return _send(f"/proc/self/fd/{place}", listener)
    finally:
        os.close(place)


def _send(path: str, listener: socket.socket) -> bool:
    with byte_socket.unconnected() as visitor:
        visitor.setblocking(False)
        try:
            visitor.connect(path)
        except ConnectionRefusedError:
            # Its name is there before it listens.
            return False
        socket.send_fds(visitor, [b"1"], [listener.fileno()])
        return True
