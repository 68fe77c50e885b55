"""Recorded streams for tests of the reducer."""

from __future__ import annotations

from typing import Any

from tui.state.outcomes import SessionOpened, Streamed
from tui.state.reduce import reduce
from tui.state.session import SessionState
from tui.state.workspace import Workspace

SESSION_ID = "s1"


def record(**fields: Any) -> dict[str, Any]:
    """Return a session record."""
    return {
        "id": SESSION_ID,
        "name": "parser",
        "project_path": "/work/parser",
        "config": {"provider": "openai", "model": "gpt-9", "temperature": None, "max_tokens": None},
        "status": "ready",
        "activity": "idle",
        "runtime": "docker",
        "created_at": "2026-01-01T12:00:00Z",
        "usage": {"input_tokens": 0, "output_tokens": 0, "cost_usd": None},
        "turns": 0,
        "last_seq": 0,
        **fields,
    }


def turn(turn_id: str = "t1", prompt: str = "do it", **fields: Any) -> dict[str, Any]:
    """Return a turn."""
    return {"id": turn_id, "session_id": SESSION_ID, "prompt": prompt, "usage": {}, **fields}


def message(role: str, *parts: dict[str, Any], message_id: str = "m1", **fields: Any) -> Any:
    """Return the data of a message event."""
    body = {
        "id": message_id,
        "turn_id": "t1",
        "role": role,
        "time": "2026-01-01T12:00:01Z",
        "interrupted": False,
        "parts": list(parts),
        **fields,
    }
    return {"turn_id": "t1", "message": body}


def words(text: str, kind: str = "text") -> dict[str, Any]:
    """Return a part of words."""
    return {"type": kind, "text": text}


class Recording:
    """A workspace with one session and a stream that numbers itself."""

    def __init__(self) -> None:
        self.workspace = Workspace(project_path="/work/parser")
        reduce(self.workspace, SessionOpened(record()))
        self.seq = 0

    @property
    def session(self) -> SessionState:
        return self.workspace.sessions[SESSION_ID]

    def event(self, kind: str, /, seq: int | None = None, **data: Any) -> dict[str, Any]:
        """Return the next event."""
        self.seq = self.seq + 1 if seq is None else seq
        time = f"2026-01-01T12:{self.seq // 60 % 60:02d}:{self.seq % 60:02d}Z"
        return {
            "session_id": SESSION_ID,
            "seq": self.seq,
            "type": kind,
            "time": time,
            "data": data,
        }

    def play(self, *events: dict[str, Any]) -> None:
        """Reduce events."""
        reduce(self.workspace, Streamed(SESSION_ID, events))

    def tell(self, kind: str, /, **data: Any) -> None:
        """Reduce one event."""
        self.play(self.event(kind, **data))

    def shapes(self) -> list[str]:
        """Return the kinds of items in the transcript."""
        return [type(item).__name__ for item in self.session.transcript.items]
