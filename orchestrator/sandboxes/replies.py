"""What a tool server says of itself and of what it was asked, from its parsed headers.

Owns the shapes of a greeting, a reply and a refusal. Refuses, with `ChannelProtocolError`,
whatever has another shape. Knows nothing of the connection or of who waits for the answer.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from orchestrator.sandboxes.errors import ChannelProtocolError, tool_error

WIRE_VERSION: Final = 1
"""The version of the wire this client speaks; another one is refused."""


class Hello(NamedTuple):
    """What a tool server says first: its project directory and its process id there."""

    root: str
    pid: int


class Reply(NamedTuple):
    """The answer of one operation: its result object and the raw bytes beside it."""

    result: dict[str, Any]
    payload: bytes


def parse_hello(header: dict[str, Any]) -> Hello:
    """Parse a greeting; raises `ChannelProtocolError`, for another version as well."""
    hello = header.get("hello")
    if not isinstance(hello, dict):
        raise ChannelProtocolError(refusal(header))
    if hello.get("version") != WIRE_VERSION:
        raise ChannelProtocolError("the sandbox speaks another version; rebuild its image")
    root, pid = hello.get("root"), hello.get("pid")
    if not isinstance(root, str) or not root.startswith("/") or type(pid) is not int:
        raise ChannelProtocolError("the sandbox greeted wrongly")
    return Hello(root, pid)


def parse_reply(header: dict[str, Any], payload: bytes) -> Reply | Exception:
    """Return a result, or the `ToolError` of a failure; raises `ChannelProtocolError`."""
    if header.get("ok") is True:
        result = header.get("result")
        if not isinstance(result, dict):
            raise ChannelProtocolError("the sandbox sent a reply without a result")
        return Reply(result, payload)
    error = header.get("error")
    if header.get("ok") is not False or not isinstance(error, dict):
        raise ChannelProtocolError("the sandbox sent neither a result nor an error")
    failure = tool_error(error.get("code"), error.get("message"))
    data = error.get("data")
    if isinstance(data, dict):
        failure.extra["data"] = data
    failure.payload = payload
    return failure


def refusal(header: dict[str, Any]) -> str:
    """Say what a frame without an identifier said, when it was a refusal."""
    error = header.get("error")
    if isinstance(error, dict):
        return f"the sandbox refused: {tool_error(error.get('code'), error.get('message')).detail}"
    return "the sandbox sent a frame that belongs to nothing"
