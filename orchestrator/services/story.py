"""Events about sessions, as the services tell them.

Owns the data of `session.*` and `notice` events. Refuses to number or store them.
"""

from __future__ import annotations

from typing import Any, Literal

from orchestrator.domain.events import EventType, NewEvent
from orchestrator.domain.session import Session


def session_event(kind: EventType, session: Session) -> NewEvent:
    """Return an event of type `kind` that carries the session's record."""
    return NewEvent(type=kind, data={"session": session.model_dump(mode="json")})


def notice(level: Literal["info", "warning", "error"], code: str, text: str) -> NewEvent:
    """Return a line for the reader that belongs to no message."""
    data: dict[str, Any] = {"level": level, "code": code, "text": text}
    return NewEvent(type="notice", data=data)
