"""A model provider for measuring: `python -m scripts.bench.provider`.

Speaks OpenAI chat completions, streaming. Every word it says is the moment it was said, in
nanoseconds of the machine's monotonic clock, and the first one is the moment the request was
there: whoever reads the answer knows how old it is. A process of its own, so that it shares
no interpreter with who measures. Ends with its standard input.

A prompt says what is wanted: `chunks=200 pause_ms=30`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sys
import time
from typing import Any

_MAX_BODY_BYTES = 16 << 20
_WANTED = re.compile(r"chunks=(\d+) pause_ms=(\d+)")


async def serve() -> None:
    """Listen on a free port, print it, and answer until standard input ends."""
    server = await asyncio.start_server(_connection, "127.0.0.1", 0, limit=_MAX_BODY_BYTES)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.buffer.read)
    server.close()


async def _connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
            body = await reader.readexactly(int(length[1])) if length else b"{}"
            await _answer(writer, json.loads(body), time.monotonic_ns())
    writer.close()


async def _answer(writer: asyncio.StreamWriter, body: dict[str, Any], moment: int) -> None:
    found = _WANTED.findall(json.dumps(body.get("messages")))
    chunks, pause_ms = (int(word) for word in (found[-1] if found else ("0", "0")))
    writer.write(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    _say(writer, {"role": "assistant", "content": f"{moment} "})
    for _ in range(chunks):
        await writer.drain()
        await asyncio.sleep(pause_ms / 1000)
        _say(writer, {"content": f"{time.monotonic_ns()} "})
    _say(writer, {}, "stop")
    _send(writer, "[DONE]")
    writer.write(b"0\r\n\r\n")
    await writer.drain()


def _say(writer: asyncio.StreamWriter, delta: dict[str, str], finish: str | None = None) -> None:
    chunk = {
        "id": "bench",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "bench",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    _send(writer, json.dumps(chunk))


def _send(writer: asyncio.StreamWriter, data: str) -> None:
    payload = f"data: {data}\n\n".encode()
    writer.write(f"{len(payload):x}\r\n".encode() + payload + b"\r\n")


if __name__ == "__main__":
    asyncio.run(serve())
