"""Byte streams of the container engine: an interactive command, and its events.

Owns the little HTTP/1.1 that the engine's two long-lived answers need, on asyncio
streams, so that neither holds a thread. Everything short goes through the SDK.
Refuses frames that the engine's own multiplexing would not produce.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlsplit

from orchestrator.sandboxes.runtime_errors import RuntimeUnavailable

READ_BYTES: Final = 262_144
"""Bytes taken from a stream at once, and the most that waits unread in it."""

MAX_HEADER_BYTES: Final = 16_384
"""Bytes of the engine's answer before its body."""

CONNECT_TIMEOUT_S: Final = 10.0
"""Seconds the engine may take to answer."""

_HEAD_END: Final = b"\r\n\r\n"
_FRAME_HEADER: Final = 8
_STDOUT: Final = 1
_STDERR: Final = 2

_Protocol = TypeVar("_Protocol", bound=asyncio.Protocol)


class StreamBroken(Exception):
    """The engine's stream ended or held what it must not."""


@dataclass(frozen=True, slots=True)
class EngineAddress:
    """Where the engine listens."""

    socket_path: str | None
    """Path of its unix socket; None when it listens on TCP."""

    host: str = ""
    """Host name; '' with a unix socket."""

    port: int = 0
    """TCP port; 0 with a unix socket."""

    tls: ssl.SSLContext | None = None
    """How to encrypt; None means plain."""

    @classmethod
    def parse(cls, url: str) -> EngineAddress:
        """Read a DOCKER_HOST; raises RuntimeUnavailable for a kind that cannot serve sandboxes."""
        parts = urlsplit(url)
        if parts.scheme in ("unix", "http+unix"):
            return cls(parts.path or parts.netloc)
        if parts.scheme in ("tcp", "http", "https") and parts.hostname:
            encrypted = parts.scheme == "https" or bool(os.environ.get("DOCKER_TLS_VERIFY"))
            port = parts.port or (2376 if encrypted else 2375)
            return cls(None, parts.hostname, port, _tls_context() if encrypted else None)
        raise RuntimeUnavailable(
            f"DOCKER_HOST={url} is not supported: projects are mounted by their host path, "
            "so the engine must be on this machine. Use its unix socket."
        )

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection; raises OSError."""
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            if self.socket_path is not None:
                return await asyncio.open_unix_connection(self.socket_path, limit=READ_BYTES)
            return await asyncio.open_connection(
                self.host, self.port, limit=READ_BYTES, ssl=self.tls
            )

    async def open(self, protocol: Callable[[], _Protocol]) -> _Protocol:
        """Open a connection that a protocol of its own serves; raises OSError."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            if self.socket_path is not None:
                return (await loop.create_unix_connection(protocol, self.socket_path))[1]
            made = loop.create_connection(protocol, self.host, self.port, ssl=self.tls)
            return (await made)[1]


def _tls_context() -> ssl.SSLContext:
    directory = os.environ.get("DOCKER_CERT_PATH") or os.path.expanduser("~/.docker")
    context = ssl.create_default_context(cafile=os.path.join(directory, "ca.pem"))
    context.load_cert_chain(os.path.join(directory, "cert.pem"), os.path.join(directory, "key.pem"))
    return context


class Demultiplexer:
    """Takes the payload of standard output out of the engine's frames."""

    def __init__(self) -> None:
        """Start before the first frame."""
        self._header = bytearray()
        self._left = 0
        self._wanted = False

    def feed(self, data: bytes) -> bytes:
        """Return what `data` adds to standard output; raises StreamBroken for a false frame."""
        output: list[bytes] = []
        place = 0
        while place < len(data):
            if self._left == 0:
                place = self._take_header(data, place)
                continue
            piece = data[place : place + self._left]
            place += len(piece)
            self._left -= len(piece)
            if self._wanted:
                output.append(piece)
        return output[0] if len(output) == 1 else b"".join(output)

    def _take_header(self, data: bytes, place: int) -> int:
        end = place + _FRAME_HEADER - len(self._header)
        self._header += data[place:end]
        if len(self._header) == _FRAME_HEADER:
            kind, padding = self._header[0], bytes(self._header[1:4])
            if kind not in (_STDOUT, _STDERR) or padding != b"\0\0\0":
                raise StreamBroken("the engine sent a frame that is none")
            self._wanted = kind == _STDOUT
            self._left = int.from_bytes(self._header[4:], "big")
            self._header.clear()
        return min(end, len(data))


class ExecStream(asyncio.Protocol):
    """The standard input and output of a command that runs in a container.

    Keeps what arrives until somebody reads it or is joined; from then on it is passed on in the
    same turn of the event loop, without a task or a queue in between.
    """

    def __init__(self) -> None:
        """Prepare for a connection to the engine; use `open_exec`."""
        self._transport: asyncio.Transport | None = None
        self._unread = bytearray()
        self._frames = Demultiplexer()
        self._changed = asyncio.Event()
        self._ended = False
        self._client: asyncio.Transport | None = None

    async def request(self, head: bytes) -> int:
        """Send a request that the engine answers by an upgrade; return the status it gave.

        Raises StreamBroken.
        """
        self.write(head)
        while (end := self._unread.find(_HEAD_END)) < 0 and len(self._unread) <= MAX_HEADER_BYTES:
            if not await self._more():
                raise StreamBroken("the engine's answer has no head")
        # What follows the head, even in the same packet, belongs to the command's streams.
        status = _status(bytes(self._unread[: end + len(_HEAD_END)]) if end >= 0 else b"")
        del self._unread[: end + len(_HEAD_END)]
        return status

    async def read(self) -> bytes:
        """Return the next bytes of standard output; b'' at its end. Raises StreamBroken."""
        while True:
            if self._unread:
                data = bytes(self._unread)
                self._unread.clear()
                self.resume_reading()
                if payload := self._frames.feed(data):
                    return payload
            elif not await self._more():
                return b""

    def write(self, data: bytes) -> None:
        """Send to standard input; whoever is joined is paused while the other end is slow."""
        if self._transport is not None:
            self._transport.write(data)

    def join(self, client: asyncio.Transport) -> None:
        """Pass all further output on to `client`, and close it at the end."""
        self._client = client
        self.resume_reading()
        data = bytes(self._unread)
        self._unread.clear()
        self._pass_on(data)
        if self._ended:
            client.close()

    @property
    def ended(self) -> bool:
        """Whether the other end is known to be gone."""
        return self._ended or self._transport is None or self._transport.is_closing()

    def close(self) -> None:
        """End the stream; the command sees the end of its input."""
        if self._transport is not None:
            self._transport.close()

    def pause_reading(self) -> None:
        """Take no more output: whoever is joined is slow."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Take output again."""
        if self._transport is not None:
            self._transport.resume_reading()

    # The event loop calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Pass output on, or keep it while nobody is joined."""
        if self._client is not None:
            self._pass_on(data)
            return
        self._unread += data
        if len(self._unread) >= READ_BYTES:
            self.pause_reading()
        self._changed.set()

    def eof_received(self) -> None:
        """End; what was received before is still there to be read."""
        self._end()

    def connection_lost(self, error: Exception | None) -> None:
        """End."""
        self._end()

    def pause_writing(self) -> None:
        """Have the client wait while the engine is slow."""
        if self._client is not None:
            self._client.pause_reading()

    def resume_writing(self) -> None:
        """Let the client go on."""
        if self._client is not None:
            self._client.resume_reading()

    async def _more(self) -> bool:
        """Wait for bytes beyond those unread; False when none will come."""
        have = len(self._unread)
        while len(self._unread) == have and not self._ended:
            self._changed.clear()
            await self._changed.wait()
        return len(self._unread) > have

    def _pass_on(self, data: bytes) -> None:
        assert self._client is not None
        try:
            payload = self._frames.feed(data)
        except StreamBroken:
            self._client.close()
            return
        if payload:
            self._client.write(payload)

    def _end(self) -> None:
        self._ended = True
        self._changed.set()
        if self._client is not None:
            self._client.close()


async def open_exec(address: EngineAddress, version: str, exec_id: str) -> ExecStream:
    """Start a prepared command and take over its streams.

    Raises StreamBroken when the engine refuses, OSError when it does not answer.
    """
    body = json.dumps({"Detach": False, "Tty": False}).encode()
    head = (
        f"POST /v{version}/exec/{quote(exec_id, safe='')}/start HTTP/1.1\r\n"
        "Host: engine\r\nContent-Type: application/json\r\n"
        "Connection: Upgrade\r\nUpgrade: tcp\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    stream = await address.open(ExecStream)
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            status = await stream.request(head.encode() + body)
        if status not in (101, 200):
            raise StreamBroken(f"the engine refused the command with status {status}")
    except BaseException:  # raised again once cleaned up
        stream.close()
        raise
    return stream


async def engine_events(
    address: EngineAddress, version: str, filters: dict[str, list[str]], connected: asyncio.Event
) -> AsyncIterator[dict[str, Any]]:
    """Yield the engine's events until its stream ends; sets `connected` once it listens.

    Raises StreamBroken or OSError.
    """
    query = quote(json.dumps(filters), safe="")
    head = f"GET /v{version}/events?filters={query} HTTP/1.1\r\nHost: engine\r\n\r\n"
    reader, writer = await address.connect()
    try:
        writer.write(head.encode())
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            status, headers = await _read_head(reader)
        if status != 200 or b"chunked" not in headers.lower():
            raise StreamBroken(f"the engine refused its events with status {status}")
        connected.set()
        async for line in _chunked_lines(reader):
            event = json.loads(line)
            if isinstance(event, dict):
                yield event
    except (ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise StreamBroken(f"the engine's events are unreadable: {error}") from error
    finally:
        writer.close()


async def _read_head(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    try:
        head = await reader.readuntil(_HEAD_END)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise StreamBroken("the engine's answer has no head") from error
    return _status(head), head


def _status(head: bytes) -> int:
    words = head.split(b" ", 2)
    if len(head) > MAX_HEADER_BYTES or len(words) < 3 or not words[1].isdigit():
        raise StreamBroken("the engine's answer is no HTTP")
    return int(words[1])


async def _chunked_lines(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    waiting = b""
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        if size > READ_BYTES or len(waiting) > READ_BYTES:
            raise StreamBroken("the engine sent an event that is too large")
        waiting += (await reader.readexactly(size + 2))[:-2]
        *lines, waiting = waiting.split(b"\n")
        for line in lines:
            if line.strip():
                yield line
