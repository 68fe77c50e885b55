"""Server-sent events of the api, from bytes.

Owns batches of events as they arrive, and the text of a running command. Refuses an event
without end.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import AsyncIterator, Sequence

from tui.http import Unreachable
from tui.refusals import refusal
from tui.state import fields


async def frames(chunks: AsyncIterator[bytes]) -> AsyncIterator[tuple[str, str]]:
    """Yield (event, data) of each server-sent event."""
    async for batch in frame_batches(chunks):
        for name, data in batch:
            yield name, data


async def frame_batches(
    chunks: AsyncIterator[bytes],
) -> AsyncIterator[Sequence[tuple[str, str]]]:
    """Yield the server-sent events that each arrival of bytes completed."""
    from orchestrator.wire.sse import MAX_LINE_BYTES, Decoder

    decoder, held = Decoder(), b""
    async for chunk in chunks:
        *lines, held = (held + chunk).split(b"\n")
        if len(held) > MAX_LINE_BYTES:
            raise Unreachable("The server sent an event that is too large.")
        batch = [
            (frame.event, frame.data)
            for line in lines
            for frame in decoder.feed(line.rstrip(b"\r").decode("utf-8", "replace"))
        ]
        if batch:
            yield batch


class RunDecoder:
    """Turns the frames of a running command into text, whatever a chunk cuts in two."""

    def __init__(self) -> None:
        """Start with nothing held back."""
        self._held = {"stdout": b"", "stderr": b""}

    def feed(self, name: str, data: str) -> tuple[str, str, int] | None:
        """Return (stream, text, 0), ("exit", "", code), or None for what says nothing."""
        try:
            body = json.loads(data)
        except ValueError:
            body = data
        if name == "exit":
            return "exit", "", fields.integer(body, "code", 125) if isinstance(body, dict) else 125
        if name == "error" and isinstance(body, dict):
            raise refusal(500, body)
        if name not in self._held:
            return None
        return name, self._text(name, body), 0

    def _text(self, name: str, body: object) -> str:
        encoded = body
        if isinstance(body, dict):
            encoded = next((body[k] for k in ("data", "base64", "bytes", "chunk") if k in body), "")
        try:
            data = base64.b64decode(encoded) if isinstance(encoded, str) else b""
        except (binascii.Error, ValueError):
            return ""
        data = self._held[name] + data
        cut = _incomplete_tail(data)
        self._held[name] = data[len(data) - cut :]
        return data[: len(data) - cut].decode("utf-8", "replace")


def _incomplete_tail(data: bytes) -> int:
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte >= 0xC0:
            needed = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return back if back < needed else 0
        if byte < 0x80:
            return 0
    return 0
