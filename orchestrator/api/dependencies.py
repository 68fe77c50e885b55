"""What routes are given: the use cases, and identifiers of the right form.

Owns nothing but this handing over. An identifier of another form is answered as
one that does not exist, and never reaches a key or a path.
"""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Depends, Path, Query, Request

from orchestrator.api.stream import Streams
from orchestrator.domain.errors import (
    InvalidArgument,
    SavedSessionNotFound,
    SessionNotFound,
    TurnNotFound,
)
from orchestrator.domain.ids import is_id
from orchestrator.services.bundle import Services

MAX_CALL_ID_CHARACTERS: Final = 200
"""Characters of a tool call's identifier, which its model chose."""


async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


async def _streams(request: Request) -> Streams:
    streams: Streams = request.app.state.streams
    return streams


async def _session_id(session_id: Annotated[str, Path(description="Session id")]) -> str:
    if not is_id(session_id):
        raise SessionNotFound(f"No live session has the id {session_id[:80]!r}.")
    return session_id


async def _turn_id(turn_id: Annotated[str, Path(description="Turn id")]) -> str:
    if not is_id(turn_id):
        raise TurnNotFound(f"The session has no turn {turn_id[:80]!r}.")
    return turn_id


async def _saved_id(saved_id: Annotated[str, Path(description="Saved session id")]) -> str:
    if not is_id(saved_id):
        raise SavedSessionNotFound(f"No saved session has the id {saved_id[:80]!r}.")
    return saved_id


def cursor_number(text: str) -> int:
    """Return the event number that a cursor names; raises InvalidArgument."""
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise InvalidArgument(f"“{text[:40]}” is no event number. Use 0 or the last id received.")
    return int(text)


UseCases = Annotated[Services, Depends(_services)]
OpenStreams = Annotated[Streams, Depends(_streams)]
SessionId = Annotated[str, Depends(_session_id)]
TurnId = Annotated[str, Depends(_turn_id)]
SavedId = Annotated[str, Depends(_saved_id)]
Limit = Annotated[int, Query(ge=1, le=500, description="Entries of one page")]
