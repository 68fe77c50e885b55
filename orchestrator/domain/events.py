"""Events: the numbered story of a session.

Owns the closed set of types. `seq` starts at 1 and has no gaps within a session.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal, get_args

from pydantic import BaseModel

EventType = Literal[
    "session.created",
    "session.ready",
    "session.restarting",
    "session.failed",
    "session.renamed",
    "session.configured",
    "session.closed",
    "sandbox.crashed",
    "sandbox.oom",
    "turn.queued",
    "turn.started",
    "turn.completed",
    "turn.failed",
    "turn.cancelled",
    "turn.interrupted",
    "message.user",
    "message.assistant",
    "text.delta",
    "reasoning.delta",
    "tool.call",
    "tool.output",
    "tool.result",
    "approval.requested",
    "approval.answered",
    "todo.updated",
    "usage.updated",
    "notice",
]

EVENT_TYPES: Final[frozenset[str]] = frozenset(get_args(EventType))


class Event(BaseModel):
    """One event as it travels."""

    session_id: str
    seq: int
    """Position within the session, from 1."""
    type: EventType
    time: datetime
    """UTC."""
    data: dict[str, Any]


class NewEvent(BaseModel):
    """An event not yet numbered."""

    type: EventType
    data: dict[str, Any]
