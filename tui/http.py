"""HTTP/1.1 over plain asyncio streams: one request per connection, bodies bounded.

Owns bytes on the wire. A general client library costs a quarter of a second of imports and
twice the time per streamed event, and the client speaks to one server on one machine.
Refuses redirects, compression and cookies; the api uses none of them.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

CONNECT_TIMEOUT_S: Final = 5.0
"""Seconds until a server that does not accept counts as absent."""
KNOWN_TIMEOUT_S: Final = 10.0
"""Seconds that a request waits for the address, while that is not known yet."""
REPLY_TIMEOUT_S: Final = 30.0
"""Seconds until an answer must be complete, unless the call says otherwise."""
MAX_BODY_BYTES: Final = 67_108_864
"""Bytes of one answer; more is refused."""
_LINE_LIMIT: Final = 1_048_576
_READ_BYTES: Final = 65_536


class Unreachable(Exception):
    """The server did not answer, or broke off."""


class NoAddress(ValueError):
    """What was given as the server's address is none."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One complete answer."""

    status: int
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON; None when it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


@dataclass(slots=True)
class Stream:
    """An answer whose body is still arriving."""

    status: int
    headers: Mapping[str, str]
    reader: asyncio.StreamReader
    idle_timeout_s: float | None
    """Seconds without a byte until the stream counts as broken; None waits for ever."""

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives; raises Unreachable when it breaks off."""
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            while chunk := await self._bounded(self._chunk()):
                yield chunk
            return
        left = int(length) if (length := self.headers.get("content-length", "")).isdigit() else None
        while left is None or left > 0:
            size = _READ_BYTES if left is None else min(left, _READ_BYTES)
            data = await self._bounded(self.reader.read(size))
            if not data:
                if left:
                    raise Unreachable("The server broke off in the middle of an answer.")
                return
            left = None if left is None else left - len(data)
            yield data

    async def read(self) -> bytes:
        """Return the whole body."""
        parts: list[bytes] = []
        total = 0
        async for chunk in self.chunks():
            total += len(chunk)
            if total > MAX_BODY_BYTES:
                raise Unreachable("The server's answer is too large.")
            parts.append(chunk)
        return b"".join(parts)

    async def _chunk(self) -> bytes:
        head = await self.reader.readuntil(b"\r\n")
        try:
            size = int(head.split(b";", 1)[0], 16)
        except ValueError:
            raise Unreachable("The server's answer cannot be read.") from None
        if not 0 <= size <= MAX_BODY_BYTES:
            raise Unreachable("The server's answer is too large.")
        data = await self.reader.readexactly(size + 2)
        return data[:-2]

    async def _bounded(self, read: Any) -> bytes:
        try:
            async with asyncio.timeout(self.idle_timeout_s):
                data: bytes = await read
        except TimeoutError:
            raise Unreachable("The server fell silent.") from None
        except (OSError, EOFError, asyncio.LimitOverrunError) as fault:
            raise Unreachable("The connection to the server broke off.") from fault
        return data


class Http:
    """Requests to one server, each with the bearer token."""

    def __init__(self, url: str | None, token: str) -> None:
        """Take the address as `use` does; None means that it is not known yet."""
        self.url = ""
        self._known = asyncio.Event()
        if url is not None:
            self.use(url, token)

    def use(self, url: str, token: str) -> None:
        """Take the base address, `http://host:port`; raises NoAddress when it is none."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise NoAddress(f"“{url}” is not an address such as http://127.0.0.1:8420.")
        self.url = url.rstrip("/")
        self._host = parts.hostname
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._prefix = parts.path.rstrip("/")
        self._host_header = parts.netloc.rpartition("@")[2]
        self._token = "".join(c for c in token if c.isprintable()).strip()
        self._known.set()

    async def request(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = REPLY_TIMEOUT_S,
    ) -> Answer:
        """Return the answer; raises Unreachable when there is none within `timeout_s`."""
        try:
            async with (
                asyncio.timeout(timeout_s),
                self.stream(method, path, body, headers, idle_timeout_s=None) as stream,
            ):
                return Answer(stream.status, await stream.read())
        except TimeoutError:
            raise Unreachable(f"{self.url} did not answer within {timeout_s:.0f} s.") from None

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        *,
        idle_timeout_s: float | None,
    ) -> AsyncIterator[Stream]:
        """Open an answer whose body arrives bit by bit; raises Unreachable."""
        await self._until_known()
        reader, writer = await self._connect()
        try:
            writer.write(self._head(method, path, body, headers or {}))
            try:
                await writer.drain()
                status, answered = await _read_head(reader)
            except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as fault:
                raise Unreachable(f"{self.url} did not answer as expected.") from fault
            yield Stream(status, answered, reader, idle_timeout_s)
        finally:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()

    async def _until_known(self) -> None:
        """Wait for an address: what is asked in the first moments need not be asked again."""
        try:
            async with asyncio.timeout(KNOWN_TIMEOUT_S):
                await self._known.wait()
        except TimeoutError:
            raise Unreachable("The server is still being looked for.") from None

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                return await asyncio.open_connection(
                    self._host, self._port, ssl=self._tls, limit=_LINE_LIMIT
                )
        except (OSError, TimeoutError) as fault:
            raise Unreachable(f"No server answers at {self.url}.") from fault

    def _head(self, method: str, path: str, body: object, headers: Mapping[str, str]) -> bytes:
        payload = b"" if body is None else json.dumps(body).encode()
        lines = [
            f"{method} {self._prefix}{path} HTTP/1.1",
            f"Host: {self._host_header}",
            f"Authorization: Bearer {self._token}",
            "Connection: close",
            "Accept: application/json, text/event-stream, application/problem+json",
            f"Content-Length: {len(payload)}",
        ]
        if body is not None:
            lines.append("Content-Type: application/json")
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n" + payload


async def _read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    first, *rest = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    words = first.split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdigit():
        raise ValueError(first[:80])
    headers = {}
    for line in rest:
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    return int(words[1]), headers
