"""The history of a conversation as the model needs it: complete and honest.

Owns repair: a call without an answer gets one that says it was interrupted, so
that no call is ever repeated by itself. Refuses storage; callers record what
is returned.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    ToolCallPart,
    ToolReturnPart,
)

from orchestrator.agent.parts import from_json, result_parts, to_json
from orchestrator.domain.events import NewEvent
from orchestrator.domain.history import HistoryEntry
from orchestrator.domain.ids import new_id
from orchestrator.domain.message import Message, ToolStatus

_EXPLANATIONS: Final[dict[ToolStatus, str]] = {
    "cancelled": "Cancelled by the user before it finished. It may have had part of its effect; "
    "look before repeating it.",
    "interrupted": "Interrupted before it finished. It may have had part of its effect; look "
    "before repeating it.",
}


def open_calls(messages: list[ModelMessage]) -> list[ToolCallPart]:
    """Return the calls of the newest answer that have no result yet, in order."""
    answered: set[str] = set()
    for message in reversed(messages):
        if isinstance(message, ModelResponse):
            calls = [part for part in message.parts if isinstance(part, ToolCallPart)]
            return [call for call in calls if call.tool_call_id not in answered]
        answered.update(returned.tool_call_id for returned in results_of(message))
    return []


def results_of(request: ModelRequest) -> list[ToolReturnPart]:
    """Return the results of tools that a request carries."""
    return [part for part in request.parts if isinstance(part, ToolReturnPart)]


def unfinished_result(call: ToolCallPart, status: ToolStatus) -> ToolReturnPart:
    """Return a result that says `call` did not finish."""
    return ToolReturnPart(
        tool_name=call.tool_name,
        tool_call_id=call.tool_call_id,
        content=_EXPLANATIONS.get(status, _EXPLANATIONS["interrupted"]),
        outcome="interrupted",
    )


def results_entry(
    turn_id: str, request: ModelRequest, statuses: Mapping[str, ToolStatus]
) -> tuple[HistoryEntry, list[NewEvent]]:
    """Return the entry for results of tools and the event that tells of it."""
    message = Message(
        id=new_id(),
        turn_id=turn_id,
        role="assistant",
        time=datetime.now(UTC),
        parts=result_parts(results_of(request), statuses),
    )
    return HistoryEntry(message=message, model=to_json(request)), [message_event(message)]


def message_event(message: Message) -> NewEvent:
    """Return the event that tells of a complete message of the agent."""
    return NewEvent(
        type="message.assistant",
        data={"turn_id": message.turn_id, "message": message.model_dump(mode="json")},
    )


def result_event(
    turn_id: str, call_id: str, status: ToolStatus, text: str, elapsed_ms: float
) -> NewEvent:
    """Return the event of one result; `elapsed_ms` in milliseconds, 0 when it never ran."""
    return NewEvent(
        type="tool.result",
        data={
            "turn_id": turn_id,
            "call_id": call_id,
            "status": status,
            "text": text,
            "elapsed_ms": round(elapsed_ms, 1),
        },
    )


def close_open_calls(
    turn_id: str, history: list[dict[str, Any]], status: ToolStatus
) -> tuple[list[HistoryEntry], list[NewEvent]]:
    """Return what must be recorded so that no call of `history` stays open.

    Nothing when none is open. Used for a turn whose worker is gone.
    """
    calls = open_calls(from_json(history))
    if not calls:
        return [], []
    returned = [unfinished_result(call, status) for call in calls]
    statuses = {part.tool_call_id: status for part in returned}
    entry, events = results_entry(turn_id, ModelRequest(parts=list(returned)), statuses)
    told = [
        result_event(turn_id, part.tool_call_id, status, str(part.content), 0) for part in returned
    ]
    return [entry], [*told, *events]
