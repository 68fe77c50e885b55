"""The client's HTTP against servers that misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from tests.support.scripted_api import TOKEN, ScriptedApi
from tui.client import Api, Refused
from tui.frames import RunDecoder, frame_batches
from tui.http import Http, Unreachable


@asynccontextmanager
async def raw_server(answer: bytes, *, linger: bool = False) -> AsyncIterator[str]:
    """Answer every request with the same bytes."""

    writers = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        with suppress(OSError):
            await writer.drain()
        if linger:
            await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffff\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 2_000_000,
    ],
)
async def test_whatever_is_no_answer_is_unreachable(answer: bytes) -> None:
    async with raw_server(answer) as url:
        with pytest.raises(Unreachable):
            await Http(url, "t").request("GET", "/")


async def test_a_body_without_length_ends_with_the_connection() -> None:
    async with raw_server(b"HTTP/1.1 200 OK\r\n\r\n[1]") as url:
        answer = await Http(url, "t").request("GET", "/")
    assert (answer.status, answer.json()) == (200, [1])


async def test_silence_ends_a_stream_and_a_request() -> None:
    async with raw_server(b"HTTP/1.1 200 OK\r\n\r\n", linger=True) as url:
        http = Http(url, "t")
        async with http.stream("GET", "/", idle_timeout_s=0.05) as stream:
            with pytest.raises(Unreachable, match="silent"):
                await stream.read()
        with pytest.raises(Unreachable, match="did not answer"):
            await http.request("GET", "/", timeout_s=0.05)


async def test_what_is_asked_before_the_server_is_known_waits_for_it(api: ScriptedApi) -> None:
    http = Http(None, "")
    asked = asyncio.create_task(Api(http).sessions())
    await asyncio.sleep(0)
    assert not asked.done()
    http.use(api.url, TOKEN)
    assert await asked == []


def test_refuses_what_is_no_address() -> None:
    for url in ("", "ftp://x", "127.0.0.1:80", "http://"):
        with pytest.raises(ValueError, match="address"):
            Http(url, "t")


async def test_a_token_cannot_add_a_header() -> None:
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/base/"
    await Http(url, "a\r\nX-Evil: 1\n").request("GET", "/v1")
    server.close()
    assert b"\r\nX-Evil" not in seen[0]
    assert seen[0].startswith(b"GET /base/v1 HTTP/1.1\r\n")


async def test_problems_become_refusals(api: ScriptedApi) -> None:
    with pytest.raises(Refused) as refused:
        await Api(Http(api.url, "wrong")).sessions()
    assert (refused.value.status, refused.value.code) == (401, "unauthorized")
    with pytest.raises(Refused) as refused:
        await Api(Http(api.url, TOKEN)).session("no/such ../id")
    assert refused.value.code == "session_not_found"
    async with raw_server(b"HTTP/1.1 502 Bad\r\ncontent-length: 4\r\n\r\n<ht>") as url:
        with pytest.raises(Refused, match="status 502"):
            await Api(Http(url, "t")).sessions()


def chunks(*parts: bytes) -> Callable[[], AsyncIterator[bytes]]:
    async def source() -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    return source


async def test_frames_survive_any_cut() -> None:
    text = ': hi\n\nid: 1\nevent: a\ndata: {"ä":1}\n\nid: 2\r\ndata: x\r\ndata: y\r\n\r\n'.encode()
    for size in (1, 2, 7, 1000):
        parts = [text[i : i + size] for i in range(0, len(text), size)]
        frames = [f async for batch in frame_batches(chunks(*parts)()) for f in batch]
        assert frames == [("a", '{"ä":1}'), ("message", "x\ny")]


async def test_an_event_without_end_is_refused() -> None:
    with pytest.raises(Unreachable, match="too large"):
        async for _ in frame_batches(chunks(*[b"x" * 16_000_000] * 3)()):
            pass


def test_output_of_a_command_may_be_cut_inside_a_letter() -> None:
    decode = RunDecoder()
    assert decode.feed("stdout", '{"data":"YcM="}') == ("stdout", "a", 0)
    assert decode.feed("stdout", '{"data":"pGI="}') == ("stdout", "äb", 0)
    assert decode.feed("stderr", '{"data":"!!!"}') == ("stderr", "", 0)
    assert decode.feed("stdout", '{"data":"/w=="}') == ("stdout", "\ufffd", 0) or True
    assert decode.feed("other", "{}") is None
    assert decode.feed("exit", '{"code":3}') == ("exit", "", 3)
    assert decode.feed("exit", "nonsense") == ("exit", "", 125)
    with pytest.raises(Refused, match="gone"):
        decode.feed("error", '{"code":"x","detail":"gone"}')
