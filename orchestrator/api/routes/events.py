"""Event streams of one session and of all."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query
from starlette.responses import StreamingResponse

from orchestrator.api.dependencies import OpenStreams, SessionId, UseCases, cursor_number
from orchestrator.api.stream import DESCRIPTION

router = APIRouter(tags=["events"])

LastEventId = Annotated[str | None, Header(max_length=100)]
Types = Annotated[
    str | None, Query(max_length=500, description="Types of events, separated by commas")
]
After = Annotated[str | None, Query(max_length=100, description="The last id received")]


@router.get(
    "/v1/sessions/{session_id}/events",
    response_class=StreamingResponse,
    responses=DESCRIPTION,
)
async def session_events(
    session_id: SessionId,
    services: UseCases,
    streams: OpenStreams,
    after: After = None,
    last_event_id: LastEventId = None,
) -> StreamingResponse:
    """Replay a session's events after a number, then follow; `Last-Event-ID` wins over `after`."""
    number = cursor_number(last_event_id or after or "0")
    return streams.respond(await services.following.session(session_id, number))


@router.get("/v1/events", response_class=StreamingResponse, responses=DESCRIPTION)
async def all_events(
    services: UseCases,
    streams: OpenStreams,
    after: After = None,
    last_event_id: LastEventId = None,
    types: Types = None,
) -> StreamingResponse:
    """Follow the events of all sessions, from now or after a cursor; `types` only some of them."""
    wanted = [word for word in (types or "").split(",") if word]
    return streams.respond(await services.following.all(last_event_id or after or None, wanted))
