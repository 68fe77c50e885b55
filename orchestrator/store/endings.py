"""How a turn ends: its final record, what it used, and the next one in its place.

Owns that ending one turn and activating the next are one commit, so that a
session is never idle while prompts wait.
"""

from __future__ import annotations

from orchestrator.domain.errors import SessionChanged
from orchestrator.domain.session import Usage
from orchestrator.domain.turn import FINAL_STATUSES, Turn, TurnError, TurnStatus, turn_may_follow
from orchestrator.store import keys
from orchestrator.store.codec import utc_now
from orchestrator.store.connection import Connection
from orchestrator.store.transaction import StoredSession, Transaction, commit
from orchestrator.store.turn_records import (
    activate,
    read_pending,
    turn_event,
    usage_event,
    write_turn,
)


async def end_turn(
    connection: Connection,
    stored: StoredSession,
    turn: Turn,
    status: TurnStatus,
    usage: Usage,
    error: TurnError | None = None,
) -> Turn | None:
    """End the active `turn` and return the one promoted in its place, None when none waits.

    A closing session promotes nothing: what waits is cancelled. Raises SessionChanged for an
    illegal ending, VersionChanged when somebody was faster.
    """
    if status not in FINAL_STATUSES or not turn_may_follow(turn.status, status):
        raise SessionChanged(f"A turn that is {turn.status} cannot become {status}.")
    over = _over(turn, status).model_copy(update={"usage": turn.usage.plus(usage), "error": error})
    waiting = await read_pending(connection, turn.session_id)
    closing = stored.session.status == "closing"
    following = waiting[0] if waiting and not closing else None
    record = stored.session.model_copy(
        update={
            "usage": stored.session.usage.plus(usage),
            "activity": "working" if following else "idle",
        }
    )
    transaction = Transaction.replacing(stored, record)
    transaction.write("DEL", keys.lease(turn.id))
    transaction.write("HDEL", keys.session(turn.session_id), "active", "cancelled")
    write_turn(transaction, over)
    transaction.events += [usage_event(over, record), turn_event(f"turn.{status}", over)]
    if following is not None:
        transaction.write("LPOP", keys.pending(turn.session_id))
        activate(transaction, following)
    for other in waiting if closing else ():
        cancel_waiting(transaction, other)
    await commit(connection, transaction)
    return following


def cancel_waiting(transaction: Transaction, turn: Turn) -> None:
    """Take a turn that waits out of the line, as cancelled."""
    cancelled = _over(turn, "cancelled")
    transaction.write("LREM", keys.pending(turn.session_id), 0, turn.id)
    write_turn(transaction, cancelled)
    transaction.events.append(turn_event("turn.cancelled", cancelled))


def _over(turn: Turn, status: TurnStatus) -> Turn:
    return turn.model_copy(update={"status": status, "finished_at": utc_now()})
