"""The socket towards a sandbox, against a peer that sends open files along with its bytes."""

from __future__ import annotations

import array
import asyncio
import os
import select
import socket
import struct
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread

import pytest

from orchestrator.sandboxes.byte_socket import TakingSocket, connect
from orchestrator.sandboxes.channel import Channel
from orchestrator.sandboxes.errors import ChannelClosed

HELLO = b'{"hello":{"version":1,"root":"/p","pid":1}}\n'
LINGER_S = 3600


@dataclass
class Peer:
    """Who serves the other end, and what it sends."""

    path: str
    stack: ExitStack
    listener: socket.socket = field(init=False)

    def __post_init__(self) -> None:
        self.listener = self.stack.enter_context(socket.socket(socket.AF_UNIX))
        self.listener.bind(self.path)
        self.listener.listen()

    def accept(self) -> socket.socket:
        return self.stack.enter_context(self.listener.accept()[0])

    def connected(self, client: socket.socket) -> socket.socket:
        client.connect(self.path)
        return self.accept()

    def lingering(self) -> tuple[socket.socket, socket.socket]:
        """A connection that nobody reads; closing its first end waits for the second."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            first = self.stack.enter_context(socket.create_connection(server.getsockname()))
            second = self.stack.enter_context(server.accept()[0])
        first.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                first.send(b"x" * 65_536)
        linger(first, LINGER_S)
        return first, second


def linger(connection: socket.socket, seconds: int) -> None:
    value = struct.pack("ii", seconds > 0, seconds)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, value)


def send(connection: socket.socket, data: bytes, file: int, flags: int = 0) -> None:
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file]))
    connection.sendmsg([data], [rights], flags)


@pytest.fixture
def peer() -> Iterator[Peer]:
    with tempfile.TemporaryDirectory(prefix="jido-bs-") as directory, ExitStack() as stack:
        yield Peer(str(Path(directory) / "socket"), stack)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)


def held(reader: int) -> bool:
    """Whether anybody still has the pipe's other end."""
    return not select.select([reader], [], [], 0)[0]


async def test_open_files_are_refused_where_the_kernel_can(
    peer: Peer, pipe: tuple[int, int]
) -> None:
    client, served, sent = await connect(peer.path), peer.accept(), True
    try:
        send(served, b"x", pipe[1])
    except PermissionError:
        sent = False
    finally:
        os.close(pipe[1])
    assert sent == isinstance(client, TakingSocket)
    served.send(b"y")
    # The control: a socket of no special kind is sent them.
    with socket.socket(socket.AF_UNIX) as plain:
        send(peer.connected(plain), b"x", served.fileno())
    client.close()


def test_open_files_that_come_are_not_kept(peer: Peer, pipe: tuple[int, int]) -> None:
    client = TakingSocket()
    served = peer.connected(client)
    for _ in range(3):
        send(served, b"x", pipe[1])
    os.close(pipe[1])
    with pytest.raises(OSError, match="open files"):
        client.recv(10)
    assert held(pipe[0])
    client.close()
    client.close()
    assert os.read(pipe[0], 1) == b""


def test_bytes_alone_are_received(peer: Peer) -> None:
    with TakingSocket() as client:
        served = peer.connected(client)
        served.send(b"abc")
        assert (client.recv(2), client.recv(2)) == (b"ab", b"c")
        served.close()
        assert client.recv(2) == b""


@pytest.mark.parametrize("kind", [TakingSocket, socket.socket])
def test_closing_does_not_linger(peer: Peer, kind: type[socket.socket]) -> None:
    client = kind(socket.AF_UNIX) if kind is socket.socket else kind()
    served = peer.connected(client)
    first, second = peer.lingering()
    send(served, b"x", first.fileno())
    first.close()
    closing = Thread(target=client.close)
    closing.start()
    if kind is TakingSocket:
        closing.join(30)
        assert not closing.is_alive()
    else:
        # The control: any other socket waits for whatever the sender made it wait for.
        closing.join(0.5)
        assert closing.is_alive()
    second.close()
    closing.join()


def test_receiving_an_urgent_byte_does_not_linger(peer: Peer) -> None:
    client = TakingSocket()
    served = peer.connected(client)
    first, second = peer.lingering()
    try:
        send(served, b"x", first.fileno(), socket.MSG_OOB)
    except OSError:
        linger(first, 0)
        pytest.skip("This kernel has no urgent bytes on unix sockets.")
    first.close()
    served.send(b"y")
    raised: list[OSError] = []

    def receive() -> None:
        try:
            client.recv(10)
        except OSError as error:
            raised.append(error)

    receiving = Thread(target=receive)
    receiving.start()
    receiving.join(30)
    assert raised
    assert not receiving.is_alive()
    second.close()
    client.close()


async def test_a_channel_ends_with_open_files_and_nothing_else_does(peer: Peer) -> None:
    loop = asyncio.get_running_loop()
    client = TakingSocket()
    served = peer.connected(client)
    served.send(HELLO)
    _, channel = await loop.create_unix_connection(Channel, sock=client)
    first, _ = peer.lingering()
    waiting = asyncio.create_task(channel.request("ping"))
    await asyncio.sleep(0)
    send(served, b"{", first.fileno())
    first.close()
    with pytest.raises(ChannelClosed):
        await waiting
    await channel.aclose()
    assert client.fileno() == -1
