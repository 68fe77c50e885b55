"""The client of the wire: against a real tool server, and against a hostile one."""

from __future__ import annotations

import asyncio
import json
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.sandboxes.channel import Channel
from orchestrator.sandboxes.errors import (
    TOOL_ERRORS,
    Cancelled,
    ChannelClosed,
    ChannelProtocolError,
    FileMissing,
    InternalFailure,
    InvalidArgument,
    ToolTimeout,
    TooManyRequests,
    tool_error,
)
from orchestrator.sandboxes.frames import FrameParser, encode_frame
from orchestrator.sandboxes.in_flight import MAX_IN_FLIGHT
from sandbox_image.toolserver.errors import CODES
from tests.support.toolserver import ToolServer

HELLO = b'{"hello":{"version":1,"root":"/p","pid":1}}\n'
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """A unix socket that `handler` answers."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    with tempfile.TemporaryDirectory(prefix="jido-ch-") as directory:
        path = str(Path(directory) / "socket")
        server = await asyncio.start_unix_server(handle, path)
        try:
            yield path
        finally:
            server.close()
            await server.wait_closed()


def answering(*frames: bytes) -> Handler:
    """Greet, wait for a request, send the frames, stay open until the peer ends."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HELLO)
        await reader.readline()
        for frame in frames:
            writer.write(frame)
        await reader.read()

    return handler


def test_both_ends_know_the_same_codes() -> None:
    assert set(TOOL_ERRORS) == CODES
    assert len({error.code for error in TOOL_ERRORS.values()}) == len(CODES)


def test_an_unknown_code_is_internal() -> None:
    for code in ("os.system", "", None, 3, ["not_found"]):
        assert type(tool_error(code, "x")) is InternalFailure
    assert type(tool_error("not_found", None)) is FileMissing
    assert len(tool_error("not_found", "x" * 9999).detail) == 2000


async def test_requests_are_answered(channel: Channel, server: ToolServer) -> None:
    assert channel.hello.root == str(server.root)
    await channel.request("write", {"path": "f"}, b"data")
    reply = await channel.request("read", {"path": "f", "raw": True})
    assert (reply.payload, reply.result) == (b"data", {"size": 4})
    with pytest.raises(FileMissing):
        await channel.request("read", {"path": "none"})
    with pytest.raises(InvalidArgument):
        await channel.request("read", {"path": "x" * 70_000})
    with pytest.raises(InvalidArgument):
        await channel.request("read", {"path": float("nan")})


async def test_many_are_in_flight_at_once(channel: Channel) -> None:
    calls = [
        channel.request("run", {"shell": f"sleep 0.05; echo {number}"}) for number in range(30)
    ]
    replies = await asyncio.gather(*calls)
    assert [reply.payload for reply in replies] == [b"%d\n" % number for number in range(30)]


async def test_too_many_are_refused(channel: Channel) -> None:
    calls = [
        asyncio.ensure_future(channel.request("run", {"shell": "sleep 30"}))
        for _ in range(MAX_IN_FLIGHT)
    ]
    await asyncio.sleep(0.05)
    with pytest.raises(TooManyRequests):
        await channel.request("ping")
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)


async def test_output_is_streamed_in_order(channel: Channel) -> None:
    seen: list[tuple[str, bytes]] = []

    async def slowly(stream: str, data: bytes) -> None:
        await asyncio.sleep(0.001)
        seen.append((stream, data))

    script = "i=0; while [ $i -lt 50 ]; do echo $i; i=$((i+1)); done; echo end >&2"
    reply = await channel.stream("run", {"shell": script, "stream": True}, slowly)
    assert reply.result["exit_code"] == 0
    out = b"".join(data for stream, data in seen if stream == "stdout")
    assert out == b"".join(b"%d\n" % number for number in range(50))


async def test_a_slow_reader_slows_the_command(channel: Channel) -> None:
    received = 0

    async def slowly(_: str, data: bytes) -> None:
        nonlocal received
        received += len(data)
        await asyncio.sleep(0.0005)

    arguments = {"shell": "head -c 20000000 /dev/zero", "stream": True, "keep_bytes": 0}
    await channel.stream("run", arguments, slowly)
    assert received == 20_000_000


async def test_output_of_single_bytes_is_bounded_too() -> None:
    frames = b'{"id":1,"stream":"stdout","bytes":1}\nx' * 1000
    held: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HELLO)
        await reader.readline()
        try:
            async with asyncio.timeout(1):
                for _ in range(60):
                    writer.write(frames)
                    await writer.drain()
            held.set_result(False)
        except TimeoutError:
            held.set_result(True)

    async def never(_: str, data: bytes) -> None:
        await asyncio.Event().wait()

    async with serving(flood) as path, await Channel.connect(path) as channel:
        streaming = asyncio.create_task(channel.stream("run", {}, never))
        assert await held
        streaming.cancel()


async def test_a_failing_callback_cancels_the_command(channel: Channel, server: ToolServer) -> None:
    def fail(stream: str, data: bytes) -> None:
        raise LookupError(stream)

    with pytest.raises(LookupError):
        await channel.stream("run", {"shell": "echo x; sleep 30", "stream": True}, fail)
    assert (await channel.request("ping")).result == {}


async def test_cancelling_the_caller_cancels_in_the_sandbox(
    channel: Channel, server: ToolServer
) -> None:
    task = asyncio.ensure_future(channel.request("run", {"shell": "echo $$ > go; sleep 30"}))
    waited = "while [ ! -s go ]; do sleep 0.01; done"
    await channel.request("run", {"shell": waited})
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    ended = "while kill -0 $(cat go) 2>/dev/null; do sleep 0.01; done"
    assert (await channel.request("run", {"shell": ended})).result["exit_code"] == 0


async def test_a_request_that_takes_too_long_is_given_up(channel: Channel) -> None:
    with pytest.raises(ToolTimeout):
        await channel.request("run", {"shell": "sleep 30"}, timeout_s=0.1)
    assert (await channel.request("ping")).result == {}


async def test_a_server_that_dies_fails_what_is_in_flight() -> None:
    server = await asyncio.to_thread(ToolServer.start)
    try:
        async with await Channel.connect(str(server.socket_path)) as channel:
            task = asyncio.ensure_future(channel.request("run", {"shell": "sleep 1"}))
            await asyncio.sleep(0.1)
            await asyncio.to_thread(server.kill)
            with pytest.raises(ChannelClosed):
                await task
            with pytest.raises(ChannelClosed):
                await channel.request("ping")
            assert channel.closed
        with pytest.raises(ChannelClosed):
            await Channel.connect(str(server.socket_path))
    finally:
        await asyncio.to_thread(server.stop)


async def test_a_server_that_never_greets_is_given_up() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(silent) as path:
        with pytest.raises(ChannelClosed):
            await Channel.connect(path, timeout_s=0.1)


async def test_a_server_that_never_accepts_is_given_up() -> None:
    with tempfile.TemporaryDirectory(prefix="jido-ch-") as directory, ExitStack() as stack:
        path = str(Path(directory) / "socket")
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(path)
        listener.listen(0)
        listener.settimeout(20)
        stack.enter_context(socket.socket(socket.AF_UNIX)).connect(path)
        with pytest.raises(ChannelClosed):
            await Channel.connect(path, timeout_s=0.1)
        # The control: as soon as there is room, the same connection is made.
        connecting = asyncio.create_task(Channel.connect(path))
        await asyncio.sleep(0.05)
        for _ in range(2):
            served, _ = await asyncio.to_thread(listener.accept)
            stack.enter_context(served).send(HELLO)
        async with await connecting as channel:
            assert channel.hello.root == "/p"


async def test_a_server_that_does_not_read_holds_nobody_longer_than_asked() -> None:
    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(HELLO)
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # typed for writing alone, it reads too
        await writer.wait_closed()

    async with serving(deaf) as path, await Channel.connect(path) as channel:
        for _ in range(2):
            with pytest.raises(ToolTimeout):
                await channel.request("write", {"path": "f"}, b"x" * 4_000_000, timeout_s=0.1)


@pytest.mark.parametrize(
    "greeting",
    [
        b"nonsense\n",
        b"{}\n",
        b'{"hello":1}\n',
        b'{"hello":{"version":2,"root":"/p","pid":1}}\n',
        b'{"hello":{"version":1,"root":"p","pid":1}}\n',
        b'{"hello":{"version":1,"root":"/p","pid":"1"}}\n',
        b'{"id":null,"ok":false,"error":{"code":"limit_connections","message":"full"}}\n',
        b"x" * 300_000,
    ],
)
async def test_a_wrong_greeting_is_refused(greeting: bytes) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        await reader.read()

    async with serving(greet) as path:
        with pytest.raises(ChannelProtocolError):
            await Channel.connect(path)


@pytest.mark.parametrize(
    "frame",
    [
        b"nonsense\n",
        b"[" * 5000 + b"\n",
        b"[]\n",
        b'{"id":1,"ok":true}\n',
        b'{"id":1,"ok":true,"result":[]}\n',
        b'{"id":1,"ok":1,"result":{}}\n',
        b'{"id":1,"ok":false}\n',
        b'{"id":1,"ok":false,"error":"text"}\n',
        b'{"id":2,"ok":true,"result":{}}\n',
        b'{"id":true,"ok":true,"result":{}}\n',
        b'{"id":1,"ok":true,"result":{},"bytes":-1}\n',
        b'{"id":1,"ok":true,"result":{},"bytes":16777217}\n',
        b'{"id":1,"ok":true,"result":{},"bytes":true}\n',
        b'{"id":1,"stream":"stdout","bytes":1}\nx',
        b'{"id":null,"ok":false,"error":{"code":"malformed","message":"m"}}\n',
        b"x" * 300_000,
    ],
)
async def test_a_broken_protocol_closes_the_channel(frame: bytes) -> None:
    async with serving(answering(frame)) as path, await Channel.connect(path) as channel:
        with pytest.raises(ChannelProtocolError):
            await channel.request("ping")
        assert channel.closed


@pytest.mark.parametrize(
    "frame", [b'{"id":1,"stream":"secret","bytes":1}\nx', b'{"id":1,"stream":"stdout"}\n']
)
async def test_an_unknown_stream_closes_the_channel(frame: bytes) -> None:
    async with serving(answering(frame)) as path, await Channel.connect(path) as channel:
        with pytest.raises(ChannelProtocolError):
            await channel.stream("run", {}, lambda _, __: None)


async def test_a_failure_brings_its_data_and_bytes() -> None:
    frame = (
        b'{"id":1,"ok":false,"error":{"code":"cancelled","message":"m","data":{"n":1}},'
        b'"bytes":2}\nab'
    )
    async with serving(answering(frame)) as path, await Channel.connect(path) as channel:
        with pytest.raises(Cancelled) as caught:
            await channel.request("ping")
    assert (caught.value.payload, caught.value.extra) == (b"ab", {"data": {"n": 1}})


_FRAMES = st.lists(
    st.tuples(
        st.dictionaries(st.text(max_size=5).filter(lambda name: name != "bytes"), st.integers()),
        st.binary(max_size=50),
    ),
    max_size=6,
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(frames=_FRAMES, cuts=st.lists(st.integers(1, 40), min_size=1, max_size=20))
def test_frames_survive_any_cut(
    frames: list[tuple[dict[str, int], bytes]], cuts: list[int]
) -> None:
    data = b"".join(encode_frame(dict(header), payload) for header, payload in frames)
    parser, seen, turn = FrameParser(), [], 0
    while data:
        size = cuts[turn % len(cuts)]
        turn += 1
        seen += list(parser.feed(data[:size]))
        data = data[size:]
    assert [frame.payload for frame in seen] == [payload for _, payload in frames]
    for frame, (header, _) in zip(seen, frames, strict=True):
        assert {name: value for name, value in frame.header.items() if name != "bytes"} == header


@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=400))
def test_any_bytes_are_parsed_or_refused(data: bytes) -> None:
    parser = FrameParser()
    try:
        for frame in parser.feed(data + b"\n"):
            assert isinstance(json.loads(json.dumps(frame.header)), dict)
    except ChannelProtocolError:
        return
