"""Calls about turns, approvals and the conversation."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Path

from orchestrator.api.dependencies import (
    MAX_CALL_ID_CHARACTERS,
    Limit,
    SessionId,
    TurnId,
    UseCases,
)
from orchestrator.domain.message import Message, Todo
from orchestrator.domain.turn import Turn
from orchestrator.wire.bodies import AnswerApproval, Page, StartTurn

router = APIRouter(prefix="/v1/sessions/{session_id}", tags=["turns"])

CallId = Annotated[str, Path(max_length=MAX_CALL_ID_CHARACTERS)]


@router.post("/turns", status_code=202)
async def submit(
    session_id: SessionId,
    body: StartTurn,
    services: UseCases,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> Turn:
    """Accept a prompt; the same Idempotency-Key gives the same turn."""
    return await services.turns.submit(session_id, body.prompt, idempotency_key, body.limits)


@router.get("/turns")
async def unfinished(session_id: SessionId, services: UseCases) -> Page[Turn]:
    """List the running turn and those that wait behind it."""
    return Page(items=await services.turns.unfinished(session_id))


@router.get("/turns/{turn_id}")
async def one(session_id: SessionId, turn_id: TurnId, services: UseCases) -> Turn:
    """Return a turn."""
    return await services.turns.get(session_id, turn_id)


@router.post("/turns/{turn_id}/cancel", status_code=202)
async def cancel(session_id: SessionId, turn_id: TurnId, services: UseCases) -> Turn:
    """Ask a turn to end; also when it already has."""
    return await services.turns.cancel(session_id, turn_id)


@router.post("/turns/{turn_id}/approvals/{call_id:path}", status_code=202)
async def answer(
    session_id: SessionId,
    turn_id: TurnId,
    call_id: CallId,
    body: AnswerApproval,
    services: UseCases,
) -> Turn:
    """Answer the question whether a tool call may run."""
    return await services.turns.answer(session_id, turn_id, call_id, body.decision, body.reason)


@router.get("/messages")
async def messages(
    session_id: SessionId, services: UseCases, before: str | None = None, limit: Limit = 100
) -> Page[Message]:
    """Return a page of the transcript, oldest first; `next` leads to what came before it."""
    return await services.turns.messages(session_id, before, limit)


@router.get("/todos")
async def todos(session_id: SessionId, services: UseCases) -> Page[Todo]:
    """Return the task list."""
    return Page(items=await services.turns.todos(session_id))
