"""Parsing what a sandbox sends: sizes, types and shapes, before anything else sees it.

Owns no connection. Refuses, with `ChannelProtocolError`, whatever is not exactly a frame of
a tool server: everything that comes out of a sandbox is hostile.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from orchestrator.sandboxes.errors import ChannelProtocolError

MAX_HEADER_BYTES: Final = 256 * 1024
"""Bytes of one header line from a sandbox, line feed included."""

MAX_PAYLOAD_BYTES: Final = 16 * 1024 * 1024
"""Bytes that may follow one header, in both directions."""

MAX_REQUEST_HEADER_BYTES: Final = 64 * 1024
"""Bytes of one header line towards a sandbox, line feed included."""

_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode


class Frame(NamedTuple):
    """One parsed header and the bytes that followed it."""

    header: dict[str, Any]
    payload: bytes


def encode_frame(header: dict[str, Any], payload: bytes = b"") -> bytes:
    """Serialise a frame; raises `ValueError` when it would be larger than a tool server takes."""
    if payload:
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise ValueError(f"the payload exceeds {MAX_PAYLOAD_BYTES} bytes")
        header["bytes"] = len(payload)
    line = _encode(header).encode("ascii") + b"\n"
    if len(line) > MAX_REQUEST_HEADER_BYTES:
        raise ValueError(f"the arguments exceed {MAX_REQUEST_HEADER_BYTES} bytes")
    return line + payload if payload else line


def parse_header(line: bytes) -> dict[str, Any]:
    """Parse one header line; raises `ChannelProtocolError`."""
    try:
        header = json.loads(line)
    except (ValueError, RecursionError):
        raise ChannelProtocolError("the sandbox sent a header that is not JSON") from None
    if not isinstance(header, dict):
        raise ChannelProtocolError("the sandbox sent a header that is no object")
    length = header.get("bytes", 0)
    if type(length) is not int or not 0 <= length <= MAX_PAYLOAD_BYTES:
        raise ChannelProtocolError("the sandbox announced an impossible number of bytes")
    return header


class FrameParser:
    """Cuts a byte stream into frames, holding at most one unfinished frame."""

    def __init__(self) -> None:
        """Start between frames."""
        self._buffer = bytearray()
        self._header: dict[str, Any] | None = None
        self._wanted = 0

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take bytes and yield every frame they complete; raises `ChannelProtocolError`."""
        self._buffer += data
        while True:
            if self._header is None and not self._begin():
                return
            if len(self._buffer) < self._wanted:
                return
            yield self._finish()

    def _begin(self) -> bool:
        """Read a header, if a whole one is there."""
        end = self._buffer.find(b"\n")
        if end < 0 or end >= MAX_HEADER_BYTES:
            if len(self._buffer) >= MAX_HEADER_BYTES:
                raise ChannelProtocolError("the sandbox sent a header that is too long")
            return False
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._header = parse_header(line)
        self._wanted = self._header.get("bytes", 0)
        return True

    def _finish(self) -> Frame:
        header = self._header or {}
        payload = b""
        if self._wanted:
            with memoryview(self._buffer) as view:
                payload = bytes(view[: self._wanted])
            del self._buffer[: self._wanted]
        self._header = None
        return Frame(header, payload)
