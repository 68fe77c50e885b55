"""Server-sent events: how an event becomes lines, and lines an event.

Owns the framing. `id:` is a cursor: the event's `seq` on a session's stream.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

KEEPALIVE: Final = b": keep-alive\n\n"
MAX_LINE_BYTES: Final = 33_554_432
"""Bytes of one line that a reader accepts."""


class Frame(NamedTuple):
    """One dispatched server-sent event."""

    id: str
    event: str
    data: str


def encode(cursor: str, event: str, data: str) -> bytes:
    """Return the bytes of one frame; `data` is one line of JSON."""
    return f"id: {cursor}\nevent: {event}\ndata: {data}\n\n".encode()


class Decoder:
    """Turns lines into frames; keeps what belongs to the frame under way."""

    def __init__(self) -> None:
        """Start between two frames."""
        self._id = ""
        self._event = ""
        self._data: list[str] = []

    def feed(self, line: str) -> Iterator[Frame]:
        """Take one line without its end; yields a frame when the line completes one."""
        if not line:
            if self._data:
                yield Frame(self._id, self._event or "message", "\n".join(self._data))
            self._event, self._data = "", []
            return
        if line.startswith(":"):
            return
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "id":
            self._id = value
        elif name == "event":
            self._event = value
        elif name == "data":
            self._data.append(value)
