"""The scripted model server: HTTP/1.1 over asyncio, nothing hidden."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from tests.support.model_server import anthropic, google, openai_chat, openai_responses
from tests.support.model_server.conversation import place
from tests.support.model_server.script import Failure, Reply, Script

_MAX_BODY_BYTES = 64 << 20


class _Protocol(Protocol):
    PATH: str

    def whole(self, reply: Reply, model: str, identifier: str) -> dict[str, Any]: ...

    def stream(self, reply: Reply, model: str, identifier: str) -> list[tuple[str | None, str]]: ...

    def error(self, failure: Failure) -> dict[str, Any]: ...


_PROTOCOLS = cast("tuple[_Protocol, ...]", (openai_chat, openai_responses, anthropic, google))


@dataclass(frozen=True)
class Recorded:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    prompt: str
    at: float = field(default_factory=time.time)
    """Seconds since the epoch."""


class ModelServer:
    """Answers by its script and remembers every request."""

    def __init__(self, script: Script | None = None) -> None:
        self.script = script or Script()
        self.requests: list[Recorded] = []
        self.on_request: Callable[[Recorded], None] | None = None
        self.finished_streams = 0
        """Streams that were sent to their end."""
        self.dropped_by_client = 0
        """Streams that the client left before their end."""
        self._used: dict[int, int] = {}
        self._server: asyncio.Server | None = None
        self._port = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def running(
        cls, script: Script | None = None, *, host: str = "127.0.0.1", port: int = 0
    ) -> AsyncIterator[ModelServer]:
        """Serve for the length of the block."""
        server = cls(script)
        await server.start(host, port)
        try:
            yield server
        finally:
            await server.stop()

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 takes a free one."""
        self._server = await asyncio.start_server(self._serve, host, port, limit=_MAX_BODY_BYTES)
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and drop what is open."""
        if self._server is not None:
            self._server.close()
            close_clients = getattr(self._server, "close_clients", None)
            if close_clients is not None:
                close_clients()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._port

    @property
    def base_url(self) -> str:
        """For OpenAI's protocols; Anthropic's client adds `/v1` itself, so use `root_url`."""
        return f"{self.root_url}/v1"

    @property
    def root_url(self) -> str:
        """The server without a path."""
        return f"http://127.0.0.1:{self._port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while await self._one(reader, writer):
                pass
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        line = await reader.readline()
        if not line:
            return False
        _method, path, _version = line.decode("latin-1").split()
        headers: dict[str, str] = {}
        while (header := (await reader.readline()).decode("latin-1").strip()) != "":
            name, _, value = header.partition(":")
            headers[name.lower()] = value.strip()
        raw = await reader.readexactly(int(headers.get("content-length", "0")))
        protocol = next((p for p in _PROTOCOLS if path.split("?")[0].endswith(p.PATH)), None)
        if protocol is None:
            await self._send(writer, 404, {"error": {"message": f"no such path: {path}"}})
            return True
        body = json.loads(raw)
        prompt, answered = place(body)
        recorded = Recorded(path, headers, body, prompt)
        self.requests.append(recorded)
        if self.on_request is not None:
            self.on_request(recorded)
        reply = self.script.choose(prompt, answered)
        return await self._answer(writer, protocol, reply, body)

    async def _answer(
        self, writer: asyncio.StreamWriter, protocol: _Protocol, reply: Reply, body: dict[str, Any]
    ) -> bool:
        failure = self._next_failure(reply)
        if failure is not None:
            if failure.drop:
                return False
            headers = _retry_headers(failure.retry_after)
            await self._send(writer, failure.status, protocol.error(failure), headers)
            return True
        if reply.delay_s:
            await asyncio.sleep(reply.delay_s)
        model, identifier = str(body.get("model", "")), str(len(self.requests))
        if not (body.get("stream") or protocol is google):
            await self._send(writer, 200, protocol.whole(reply, model, identifier))
            return True
        return await self._stream(writer, protocol.stream(reply, model, identifier), reply)

    def _next_failure(self, reply: Reply) -> Failure | None:
        used = self._used.get(id(reply), 0)
        if used >= len(reply.failures):
            return None
        self._used[id(reply)] = used + 1
        return reply.failures[used]

    async def _send(
        self,
        writer: asyncio.StreamWriter,
        status: int,
        body: dict[str, Any],
        headers: dict[str, Any] | None = None,
    ) -> None:
        payload = json.dumps(body).encode()
        lines = [f"HTTP/1.1 {status} Scripted", "content-type: application/json"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        lines.append(f"content-length: {len(payload)}")
        writer.write("\r\n".join([*lines, "", ""]).encode() + payload)
        await writer.drain()

    async def _stream(
        self, writer: asyncio.StreamWriter, events: list[tuple[str | None, str]], reply: Reply
    ) -> bool:
        head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
        writer.write(f"{head}transfer-encoding: chunked\r\n\r\n".encode())
        for index, (name, data) in enumerate(events):
            if reply.break_after is not None and index >= reply.break_after:
                writer.transport.abort()
                return False
            text = f"event: {name}\n" if name else ""
            payload = f"{text}data: {data}\n\n".encode()
            writer.write(f"{len(payload):x}\r\n".encode() + payload + b"\r\n")
            try:
                await writer.drain()
                if reply.chunk_delay_s:
                    await asyncio.sleep(reply.chunk_delay_s)
            except ConnectionError:
                self.dropped_by_client += 1
                raise
            if writer.transport.is_closing():
                self.dropped_by_client += 1
                return False
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        self.finished_streams += 1
        return True


def _retry_headers(seconds: float | None) -> dict[str, Any]:
    """Return what asks to wait; the standard's header has whole seconds only."""
    if seconds is None:
        return {}
    if seconds == int(seconds):
        return {"retry-after": int(seconds)}
    return {"retry-after-ms": int(seconds * 1000)}
