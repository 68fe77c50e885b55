"""How a turn is read and written, and the events that tell of it.

Owns the form of turn records. The stories are told in `turns` and `approvals`.
"""

from __future__ import annotations

from typing import cast

from orchestrator.domain.errors import TurnNotFound
from orchestrator.domain.events import EventType, NewEvent
from orchestrator.domain.history import HistoryEntry
from orchestrator.domain.ids import new_id
from orchestrator.domain.message import Message, TextPart
from orchestrator.domain.session import Session
from orchestrator.domain.turn import Turn
from orchestrator.store import keys
from orchestrator.store.codec import encode, utc_now
from orchestrator.store.connection import Connection
from orchestrator.store.history import encode_entry
from orchestrator.store.transaction import Transaction, no_session


async def read_turn(connection: Connection, session_id: str, turn_id: str) -> Turn:
    """Return one turn; raises SessionNotFound, TurnNotFound."""
    live, text = await connection.ask_together(
        [
            ("EXISTS", keys.session(session_id)),
            ("HGET", keys.turns(session_id), turn_id),
        ]
    )
    if not live:
        raise no_session(session_id)
    if text is None:
        raise TurnNotFound(f"The session has no turn {turn_id[:36]}.")
    return Turn.model_validate_json(text)


async def read_pending(connection: Connection, session_id: str) -> list[Turn]:
    """Return the turns that wait, next first; empty for an unknown session."""
    ids = await connection.ask("LRANGE", keys.pending(session_id), 0, -1)
    if not ids:
        return []
    texts = await connection.ask("HMGET", keys.turns(session_id), *ids)
    return [Turn.model_validate_json(text) for text in texts if text is not None]


def write_turn(transaction: Transaction, turn: Turn) -> None:
    """Add the turn's record to `transaction`."""
    transaction.write("HSET", keys.turns(turn.session_id), turn.id, encode(turn))


def activate(transaction: Transaction, turn: Turn) -> None:
    """Make `turn` the active one: its prompt enters the conversation now."""
    message = Message(
        id=new_id(),
        turn_id=turn.id,
        role="user",
        time=utc_now(),
        parts=[TextPart(text=turn.prompt)],
    )
    transaction.write("HSET", keys.session(turn.session_id), "active", turn.id)
    transaction.write(
        "RPUSH", keys.history(turn.session_id), encode_entry(HistoryEntry(message=message))
    )
    transaction.events.append(
        NewEvent(
            type="message.user",
            data={"turn_id": turn.id, "message": message.model_dump(mode="json")},
        )
    )


def turn_event(kind: str, turn: Turn) -> NewEvent:
    """Return the event `turn.*` of `turn`."""
    return NewEvent(type=cast(EventType, kind), data={"turn": turn.model_dump(mode="json")})


def usage_event(turn: Turn, session: Session) -> NewEvent:
    """Return the event that tells what the turn and the session have used by now."""
    return NewEvent(
        type="usage.updated",
        data={
            "turn_id": turn.id,
            "usage": session.usage.model_dump(mode="json"),
            "turn_usage": turn.usage.model_dump(mode="json"),
        },
    )
