"""Where a session's channel is reached: a unix socket, and the first line heard there.

Owns making that socket and reading the hello of whoever serves it. Refuses to call an
endpoint good before its tool server has greeted in our version of the wire.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from contextlib import suppress
from typing import Final, Protocol

from orchestrator.sandboxes import byte_socket
from orchestrator.sandboxes.replies import WIRE_VERSION
from orchestrator.sandboxes.runtime_errors import SandboxStartFailed

MAX_HELLO_BYTES: Final = 65_536
"""Bytes of the tool server's first line."""

MAX_SOCKET_PATH_BYTES: Final = 107
"""Bytes of a unix socket's path, a limit of the kernel."""


class Readable(Protocol):
    """What a hello is read from."""

    async def read(self) -> bytes:
        """Return the next bytes; b'' at the end."""
        ...


def listen_unix(path: str) -> socket.socket:
    """Bind a listening socket at `path`, mode 0600, in place of whatever socket was there.

    Raises SandboxStartFailed when the path is too long or cannot be bound.
    """
    if len(os.fsencode(path)) > MAX_SOCKET_PATH_BYTES:
        raise SandboxStartFailed(
            f"The channel's path {path} exceeds {MAX_SOCKET_PATH_BYTES} bytes. "
            "Set JIDO_HOME to a shorter path."
        )
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with suppress(FileNotFoundError):
            os.unlink(path)
        # The mode is set before the name exists, so nobody else can connect in between.
        os.fchmod(listener.fileno(), 0o600)
        listener.bind(path)
        listener.listen(128)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise SandboxStartFailed(f"The channel {path} cannot be served: {error}.") from error
    return listener


async def read_hello(upstream: Readable) -> bytes:
    """Return what arrived up to and after the tool server's first line.

    Raises SandboxStartFailed when it ends first, says something else or speaks another version.
    """
    head = b""
    while b"\n" not in head:
        data = await upstream.read()
        head += data
        if not data or len(head) > MAX_HELLO_BYTES:
            raise SandboxStartFailed("The sandbox's tool server ended before its first line.")
    try:
        greeting = json.loads(head[: head.index(b"\n")])
    except (ValueError, RecursionError):
        greeting = None
    if not isinstance(greeting, dict) or "hello" not in greeting:
        raise SandboxStartFailed("The sandbox's tool server does not speak our protocol.")
    _require_version(greeting["hello"])
    return head


def _require_version(hello: object) -> None:
    """Refuse a tool server of another version here, before any turn meets it."""
    version = hello.get("version") if isinstance(hello, dict) else None
    if type(version) is not int or version != WIRE_VERSION:
        said = str(version) if type(version) is int and 0 <= version < 10_000 else "something else"
        raise SandboxStartFailed(
            f"The sandbox speaks version {said} of the wire, this program version {WIRE_VERSION}. "
            "Rebuild the image with `make image`."
        )


class _Connection:
    """A plain connection, as far as reading its hello needs."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader

    async def read(self) -> bytes:
        return await self._reader.read(MAX_HELLO_BYTES)


async def greet(socket_path: str) -> None:
    """Connect once and hear the hello; raises OSError, SandboxStartFailed."""
    made = await byte_socket.connect(socket_path)
    reader, writer = await asyncio.open_unix_connection(sock=made)
    try:
        await read_hello(_Connection(reader))
    finally:
        writer.close()
