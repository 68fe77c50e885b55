"""Typed readings of what the tool server answers; a wrong shape is a broken protocol.

Nothing that came out of a sandbox is handed on before it passed through here.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from orchestrator.sandboxes.errors import ChannelProtocolError, ToolError
from orchestrator.sandboxes.replies import Reply


class Captured(NamedTuple):
    """One output stream as it was kept."""

    head: bytes
    """The beginning, or everything when `cut` is 0."""
    tail: bytes
    """The end."""
    cut: int
    """Bytes missing between both."""

    @property
    def whole(self) -> bytes:
        """Head and tail, with a line between them that says how much is missing."""
        if not self.cut:
            return self.head + self.tail
        return b"%s\n[... %d bytes cut ...]\n%s" % (self.head, self.cut, self.tail)


class Output(NamedTuple):
    """Both streams of a command."""

    stdout: Captured
    stderr: Captured


def wrong() -> ChannelProtocolError:
    """Build the error for an answer of the wrong shape."""
    return ChannelProtocolError("the sandbox sent an answer of the wrong shape")


def integer(result: dict[str, Any], name: str) -> int:
    """Return a count; raises `ChannelProtocolError`."""
    value = result.get(name)
    if type(value) is not int or abs(value) >= 1 << 63:
        raise wrong()
    return value


def optional_integer(result: dict[str, Any], name: str) -> int | None:
    """Return a count, or None when it is null or absent."""
    return None if result.get(name) is None else integer(result, name)


def text(result: dict[str, Any], name: str) -> str:
    """Return a string; raises `ChannelProtocolError`."""
    value = result.get(name)
    if not isinstance(value, str):
        raise wrong()
    return value


def flag(result: dict[str, Any], name: str) -> bool:
    """Return a boolean; raises `ChannelProtocolError`."""
    value = result.get(name)
    if not isinstance(value, bool):
        raise wrong()
    return value


def parse_json(data: bytes) -> Any:
    """Parse JSON that a sandbox wrote; raises `ChannelProtocolError`."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise wrong() from None


def json_rows(reply: Reply) -> list[dict[str, Any]]:
    """Return the list of objects in a payload; raises `ChannelProtocolError`."""
    rows = parse_json(reply.payload)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise wrong()
    return rows


def output_of(described: object, payload: bytes) -> Output:
    """Cut a payload into the streams that `described` says it holds."""
    if not isinstance(described, dict):
        raise wrong()
    captured: list[Captured] = []
    start = 0
    for name in ("stdout", "stderr"):
        lengths = described.get(name)
        if not isinstance(lengths, list) or len(lengths) != 3:
            raise wrong()
        if not all(type(length) is int and length >= 0 for length in lengths):
            raise wrong()
        head, tail, cut = lengths
        middle, end = start + head, start + head + tail
        captured.append(Captured(payload[start:middle], payload[middle:end], cut))
        start = end
    if start != len(payload):
        raise wrong()
    return Output(*captured)


def output_of_failure(failure: ToolError) -> Output:
    """Output of a command up to the failure; empty when none came with it."""
    data = failure.extra.get("data")
    if not isinstance(data, dict) or "stdout" not in data:
        nothing = Captured(b"", b"", 0)
        return Output(nothing, nothing)
    return output_of(data, failure.payload)
