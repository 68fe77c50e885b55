"""The channel endpoint over real sockets: greeted, copied both ways, bounded, never spinning."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.sandboxes.docker_stream import (
    Demultiplexer,
    EngineAddress,
    ExecStream,
    StreamBroken,
    engine_events,
    open_exec,
)
from orchestrator.sandboxes.relay import MAX_CONNECTIONS, Relay, Upstream
from orchestrator.sandboxes.runtime_errors import RuntimeUnavailable, SandboxStartFailed

HELLO = b'{"hello":{"version":1}}\n'


def frame(payload: bytes, kind: int = 1) -> bytes:
    return bytes([kind, 0, 0, 0]) + len(payload).to_bytes(4, "big") + payload


class Engine:
    """Speaks the engine's side of an interactive command, echoing what it gets."""

    def __init__(self, path: Path) -> None:
        self.address = EngineAddress(str(path))
        self.path = path
        self.opened = 0
        self.opened_again = asyncio.Event()
        self.greeting = HELLO
        self.head = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
        self.writers: list[asyncio.StreamWriter] = []
        self.in_pieces = False
        self.echoed = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        if self.opened > 1:
            self.opened_again.set()
        self.writers.append(writer)
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            if request.startswith(b"POST"):
                await reader.readexactly(int(request.split(b"Length: ")[1].split(b"\r\n")[0]))
            # The first frame travels with the head, as it may from a quick engine.
            answer = self.head + (frame(self.greeting) if b"101" in self.head else b"")
            pieces = [bytes([each]) for each in answer] if self.in_pieces else [answer]
            for piece in pieces:
                writer.write(piece)
                await asyncio.sleep(0)
            while data := await reader.read(65_536):
                writer.write(frame(b"noise", 2) + frame(data))
                await writer.drain()
                self.echoed += len(data)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def connect(self) -> ExecStream:
        return await open_exec(self.address, "1.41", "some id")


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    with tempfile.TemporaryDirectory(prefix="jido-r-") as directory:
        served = Engine(Path(directory) / "engine.sock")
        server = await asyncio.start_unix_server(served.serve, served.path)
        try:
            yield served
        finally:
            server.close()
            for writer in served.writers:
                writer.close()


@pytest.fixture
async def relay(engine: Engine) -> AsyncIterator[Relay]:
    started = Relay(str(engine.path.parent / "channel.sock"), engine.connect)
    await started.start()
    try:
        yield started
    finally:
        await started.close()


@pytest.mark.parametrize("version", [b"2", b"0", b'"1"', b"null", b"true", b"[1]"])
async def test_another_version_of_the_wire_is_refused(engine: Engine, version: bytes) -> None:
    engine.greeting = b'{"hello":{"version":' + version + b"}}\n"
    relay = Relay(str(engine.path.parent / "channel.sock"), engine.connect)
    with pytest.raises(SandboxStartFailed, match="make image"):
        await relay.start()
    await relay.close()


async def test_a_client_hears_the_hello_and_gets_its_bytes_back(relay: Relay) -> None:
    reader, writer = await asyncio.open_unix_connection(relay.socket_path)
    assert await reader.readline() == HELLO
    data = os.urandom(2_000_000)
    writer.write(data)
    assert await reader.readexactly(len(data)) == data
    writer.close()
    await writer.wait_closed()


async def test_an_answer_in_pieces_is_the_same_answer(engine: Engine) -> None:
    engine.in_pieces = True
    async with asyncio.timeout(10):
        stream = await engine.connect()
        heard = b""
        while HELLO not in heard:
            heard += await stream.read()
    assert heard == HELLO
    stream.close()


async def test_a_client_that_does_not_read_holds_the_sandbox_back(
    engine: Engine, relay: Relay
) -> None:
    reader, writer = await asyncio.open_unix_connection(relay.socket_path, limit=1024)
    assert await reader.readline() == HELLO
    data = os.urandom(64 * 1024 * 1024)
    writer.write(data)
    echoed = -1
    while engine.echoed != echoed:
        echoed = engine.echoed
        await asyncio.sleep(0.3)
    # What is under way fills buffers of the kernel and of three transports, never memory at will.
    assert echoed < 8 * 1024 * 1024
    assert await reader.readexactly(len(data)) == data
    writer.close()


async def test_output_of_before_the_end_reaches_the_client(engine: Engine, relay: Relay) -> None:
    reader, writer = await asyncio.open_unix_connection(relay.socket_path)
    await reader.readline()
    engine.writers[0].write(frame(b"last words"))
    engine.writers[0].close()
    assert await asyncio.wait_for(reader.read(), 5) == b"last words"
    writer.close()


async def test_false_frames_end_the_client(engine: Engine, relay: Relay) -> None:
    reader, writer = await asyncio.open_unix_connection(relay.socket_path)
    await reader.readline()
    engine.writers[0].write(b"nothing of the engine's")
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()


async def test_a_spare_is_ready_before_anybody_connects(engine: Engine, relay: Relay) -> None:
    assert engine.opened == 1
    reader, writer = await asyncio.open_unix_connection(relay.socket_path)
    await reader.readline()
    async with asyncio.timeout(5):
        await engine.opened_again.wait()
    writer.close()


async def test_a_spare_that_died_is_replaced(engine: Engine, relay: Relay) -> None:
    engine.writers[0].close()
    await asyncio.sleep(0.05)
    reader, writer = await asyncio.open_unix_connection(relay.socket_path)
    assert await reader.readline() == HELLO
    writer.close()


async def test_the_end_of_the_sandbox_is_the_end_of_the_client(
    engine: Engine, relay: Relay
) -> None:
    reader, writer = await asyncio.open_unix_connection(relay.socket_path)
    await reader.readline()
    engine.writers[0].close()
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()


async def test_too_many_clients_are_turned_away(relay: Relay) -> None:
    opened = [await asyncio.open_unix_connection(relay.socket_path) for _ in range(MAX_CONNECTIONS)]
    for reader, _ in opened:
        await reader.readline()
    reader, writer = await asyncio.open_unix_connection(relay.socket_path)
    assert await asyncio.wait_for(reader.read(), 5) == b""
    for _, each in [*opened, (reader, writer)]:
        each.close()


@pytest.mark.parametrize("greeting", [b"[]\n", b"no json\n", b"[" * 60_000 + b"\n", b"x" * 70_000])
async def test_what_does_not_greet_is_no_tool_server(engine: Engine, greeting: bytes) -> None:
    engine.greeting = greeting
    relay = Relay(str(engine.path.parent / "channel.sock"), engine.connect)
    with pytest.raises(SandboxStartFailed):
        await relay.start()
    assert not os.path.exists(relay.socket_path)


async def test_an_engine_that_refuses(engine: Engine) -> None:
    engine.head = b"HTTP/1.1 404 Not Found\r\n\r\n"
    with pytest.raises(StreamBroken, match="404"):
        await engine.connect()
    engine.head = b"nonsense\r\n\r\n"
    with pytest.raises(StreamBroken, match="no HTTP"):
        await engine.connect()


@pytest.mark.parametrize("body", [b"zz\r\n", b"4\r\n{x}\n\r\n", b"fffffff\r\n"])
async def test_unreadable_events(engine: Engine, body: bytes) -> None:
    engine.head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body
    with pytest.raises(StreamBroken):
        async for _ in engine_events(engine.address, "1.41", {}, asyncio.Event()):
            pass


async def test_events_are_read_across_chunks(engine: Engine) -> None:
    chunks = b'4\r\n{"a"\r\n6\r\n: 1}\n\n\r\n'
    engine.head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks
    connected = asyncio.Event()
    events = engine_events(engine.address, "1.41", {}, connected)
    assert await anext(events) == {"a": 1}
    assert connected.is_set()
    await events.aclose()  # type: ignore[attr-defined]


async def test_a_path_too_long_for_a_socket_is_refused(engine: Engine) -> None:
    relay = Relay(f"/tmp/{'x' * 120}", engine.connect)
    with pytest.raises(SandboxStartFailed, match="107 bytes"):
        await relay.start()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=300))), st.data())
def test_frames_cut_anywhere_give_the_same_output(
    frames: list[tuple[int, bytes]], data: st.DataObject
) -> None:
    stream = b"".join(frame(payload, kind) for kind, payload in frames)
    taken, output = Demultiplexer(), b""
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        output += taken.feed(stream[:size])
        stream = stream[size:]
    assert output == b"".join(payload for kind, payload in frames if kind == 1)


@pytest.mark.parametrize("bad", [b"\x03\0\0\0\0\0\0\1x", b"\1\1\0\0\0\0\0\1x", b"HTTP/1.1"])
def test_false_frames_break_the_stream(bad: bytes) -> None:
    with pytest.raises(StreamBroken):
        Demultiplexer().feed(bad)


def test_addresses() -> None:
    assert EngineAddress.parse("unix:///run/x.sock").socket_path == "/run/x.sock"
    assert EngineAddress.parse("tcp://127.0.0.1").port == 2375
    with pytest.raises(RuntimeUnavailable):
        EngineAddress.parse("ssh://somewhere")


def test_the_stream_is_an_upstream() -> None:
    upstream: type[Upstream] = ExecStream
    assert upstream
