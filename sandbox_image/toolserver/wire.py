"""Frames on a byte stream: one JSON object a line, then as many raw bytes as it names.

Owns sizes and parsing. Refuses, by raising `MalformedFrame`, whatever is not exactly a
frame; the connection that sent it ends, the server does not.
"""

from __future__ import annotations

import json
import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Readable(Protocol):
        """What frames are read from: a socket, or something that bounds one."""

        def recv(self, length: int, /) -> bytes: ...
        def recv_into(self, view: memoryview, /) -> int: ...


MAX_HEADER_BYTES = 64 * 1024
"""Bytes of one header line, line feed included."""

MAX_PAYLOAD_BYTES = 16 * 1024 * 1024
"""Bytes that may follow one header."""

_CHUNK_BYTES = 64 * 1024
"""Bytes asked from the socket at a time while looking for a line."""

_JOIN_BYTES = 32 * 1024
"""Payloads up to this size are joined to their header: one system call instead of two."""

_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


class MalformedFrame(Exception):
    """The peer sent something that is not a frame, or one that is too large."""


def decode_header(line: bytes) -> dict[str, object]:
    """Parse one header line; raises `MalformedFrame`."""
    try:
        header = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise MalformedFrame(f"the header is not JSON: {type(error).__name__}") from None
    if not isinstance(header, dict):
        raise MalformedFrame("the header is not a JSON object")
    return header


def encode_header(header: dict[str, object]) -> bytes:
    """Serialise a header with its line feed."""
    return _encode(header).encode("ascii") + b"\n"


def payload_length(header: dict[str, object]) -> int:
    """Bytes that follow `header`; raises `MalformedFrame` for anything but a count in bounds."""
    length = header.get("bytes", 0)
    if type(length) is not int or length < 0:
        raise MalformedFrame("`bytes` is not a count")
    if length > MAX_PAYLOAD_BYTES:
        raise MalformedFrame(f"`bytes` exceeds {MAX_PAYLOAD_BYTES}")
    return length


class FrameReader:
    """Reads frames from a socket; keeps at most one chunk more than it was asked for."""

    def __init__(self, connection: Readable) -> None:
        """Read from `connection`, which stays the caller's to close."""
        self._connection = connection
        self._buffer = bytearray()

    def header(self) -> dict[str, object] | None:
        """Read the next header; None at an orderly end between frames."""
        buffer = self._buffer
        searched = 0
        while True:
            end = buffer.find(b"\n", searched)
            if end >= 0:
                if end >= MAX_HEADER_BYTES:
                    break
                line = bytes(buffer[:end])
                del buffer[: end + 1]
                return decode_header(line)
            searched = len(buffer)
            if searched >= MAX_HEADER_BYTES:
                break
            chunk = self._connection.recv(_CHUNK_BYTES)
            if not chunk:
                if buffer:
                    raise MalformedFrame("the stream ended inside a header")
                return None
            buffer += chunk
        raise MalformedFrame(f"the header exceeds {MAX_HEADER_BYTES} bytes")

    def payload(self, length: int) -> bytes:
        """Read exactly `length` bytes; raises `MalformedFrame` when the stream ends before."""
        buffer = self._buffer
        if len(buffer) >= length:
            taken = bytes(buffer[:length])
            del buffer[:length]
            return taken
        whole = bytearray(length)
        have = len(buffer)
        whole[:have] = buffer
        buffer.clear()
        view = memoryview(whole)
        while have < length:
            count = self._connection.recv_into(view[have:])
            if not count:
                raise MalformedFrame("the stream ended inside a payload")
            have += count
        view.release()
        return bytes(whole)


def send_frame(connection: socket.socket, header: dict[str, object], payload: bytes = b"") -> None:
    """Write one frame; the caller makes sure that no other thread writes meanwhile."""
    if payload:
        header["bytes"] = len(payload)
    line = encode_header(header)
    if len(payload) <= _JOIN_BYTES:
        connection.sendall(line + payload)
    else:
        connection.sendall(line)
        connection.sendall(payload)
