"""A command in a sandbox, its bytes handed on as they come.

Owns the event stream of `/exec`: chunks in base64, then the exit.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from orchestrator.cli.http import frames
from orchestrator.domain.errors import Unavailable
from orchestrator.domain.limits import COMMAND_TIMEOUT_S
from orchestrator.local.http import Api

_MARGIN_S = 30.0
"""Seconds beyond the command's own limit after which a silent server counts as gone."""


class CommandLost(Unavailable):
    """The stream ended before the command did."""

    code = "command_lost"
    title = "Command lost"


@dataclass(frozen=True)
class CommandEnd:
    """How a command ended."""

    code: int
    """Its exit code, 128 and the signal when a signal ended it."""
    timed_out: bool


def run_command(
    api: Api,
    session_id: str,
    command: list[str] | str,
    timeout_s: float | None,
    take: Callable[[str, bytes], None],
) -> CommandEnd:
    """Run `command`, hand each chunk to `take(stream, bytes)` and return how it ended.

    Raises Problem when it is refused, CommandLost when the server or sandbox went away.
    """
    body: dict[str, Any] = {"command": command}
    if timeout_s is not None:
        body["timeout_s"] = timeout_s
    connection = api.connect((timeout_s or COMMAND_TIMEOUT_S) + _MARGIN_S)
    with contextlib.closing(connection):
        answer = api.send(connection, "POST", f"/v1/sessions/{session_id}/exec", body)
        if answer.status != http.client.OK:
            api.parse(answer)
        for frame in frames(api, answer):
            data = json.loads(frame.data)
            if frame.event in {"stdout", "stderr"}:
                take(frame.event, base64.b64decode(data["data"]))
            elif frame.event == "exit":
                return _end(data)
            elif frame.event == "error":
                raise CommandLost(str(data.get("detail") or "The sandbox failed."))
    raise CommandLost("The server ended the stream before the command ended.")


def _end(data: dict[str, Any]) -> CommandEnd:
    code = int(data["code"])
    timed_out = bool(data.get("timed_out")) or data.get("error") == "timeout"
    return CommandEnd(128 - code if code < 0 else code, timed_out)
