"""The events of a session, read over HTTP until somebody has seen enough.

Owns reconnecting: the stream goes on behind the last number seen, each event once.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from collections.abc import Iterator
from typing import Any, Final

from orchestrator.local.http import Api, ServerUnreachable
from orchestrator.wire.sse import MAX_LINE_BYTES, Decoder, Frame

_SILENCE_S: Final = 40.0
"""Seconds without a byte, comments included, after which a stream counts as dead."""
_PATIENCE_S: Final = 60.0
"""Seconds of failing to reconnect after which the server counts as gone."""
_PAUSE_S: Final = 0.2
"""Seconds between attempts to reconnect."""


class DeadlinePassed(Exception):
    """The time given for following a stream is over."""


class EventFollower:
    """One session's events, from its first."""

    def __init__(self, api: Api, session_id: str) -> None:
        """Start before event 1; nothing is read before `follow`."""
        self._api = api
        self._path = f"/v1/sessions/{session_id}/events"
        self.seq = 0
        """Number of the last event handed out."""

    def follow(self, deadline: float | None) -> Iterator[dict[str, Any]]:
        """Yield each further event, across lost connections.

        `deadline` is a time of the monotonic clock, None waits for ever. Raises
        DeadlinePassed, ServerUnreachable when the server stays away, and Problem.
        """
        lost = None
        while True:
            try:
                for event in self._read_once(deadline):
                    lost = None
                    yield event
            except ServerUnreachable:
                lost = lost or time.monotonic()
                if time.monotonic() - lost > _PATIENCE_S:
                    raise
            _check(deadline)
            time.sleep(_PAUSE_S)

    def _read_once(self, deadline: float | None) -> Iterator[dict[str, Any]]:
        left = _SILENCE_S if deadline is None else max(0.05, deadline - time.monotonic())
        connection = self._api.connect(min(left, _SILENCE_S))
        with contextlib.closing(connection):
            answer = self._api.send(
                connection,
                "GET",
                f"{self._path}?after={self.seq}",
                headers={"Accept": "text/event-stream"},
            )
            if answer.status != http.client.OK:
                self._api.parse(answer)
            for frame in frames(self._api, answer):
                event = json.loads(frame.data)
                if event["seq"] > self.seq:
                    self.seq = event["seq"]
                    yield event
                _check(deadline)


def frames(api: Api, answer: http.client.HTTPResponse) -> Iterator[Frame]:
    """Yield the frames of an event stream to its end; raises ServerUnreachable when it breaks."""
    decoder = Decoder()
    while True:
        try:
            line = answer.readline(MAX_LINE_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise api.unreachable(error) from error
        if not line:
            return
        yield from decoder.feed(line.decode(errors="replace").rstrip("\r\n"))


def _check(deadline: float | None) -> None:
    if deadline is not None and time.monotonic() >= deadline:
        raise DeadlinePassed
