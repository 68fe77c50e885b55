"""Approvals: a turn that waits for the user's word, and the word.

Owns that the first answer wins and that only the user's answers continue a
turn. Refuses to decide what needs approval: the agent does.
"""

from __future__ import annotations

from typing import Final

from pydantic import TypeAdapter

from orchestrator.domain.errors import ApprovalAlreadyAnswered, ApprovalNotFound, SessionChanged
from orchestrator.domain.events import NewEvent
from orchestrator.domain.history import (
    Answer,
    ApprovalRecord,
    Decision,
    PendingApproval,
    answered_record,
    asked_record,
)
from orchestrator.domain.session import Usage
from orchestrator.domain.turn import Turn
from orchestrator.store import keys
from orchestrator.store.codec import encode
from orchestrator.store.connection import Connection
from orchestrator.store.endings import end_turn
from orchestrator.store.transaction import (
    StoredSession,
    Transaction,
    commit,
    load,
    until_committed,
)
from orchestrator.store.turn_records import read_turn, usage_event, write_turn

RECORDS_KEPT: Final = 2000
"""Questions and answers remembered per session for its saved form; the oldest are dropped."""

_ASKED: Final = TypeAdapter(tuple[int, PendingApproval])
"""How an approval is stored: a hash keeps no order, so its position is beside it."""


class Approvals:
    """The part of a turn's story that waits for the user."""

    def __init__(self, connection: Connection) -> None:
        """Keep approvals over `connection`."""
        self._connection = connection

    async def suspend(
        self,
        session_id: str,
        turn_id: str,
        approvals: list[PendingApproval],
        usage: Usage | None = None,
    ) -> Turn | None:
        """Let the working turn wait for `approvals` and release its lease; adds `usage`.

        Returns None; but when a cancel came first the turn ends as cancelled instead, and the
        turn promoted in its place is returned, which the caller enqueues. Raises
        SessionNotFound, TurnNotFound, SessionChanged when the turn is not working.
        """
        spent = usage or Usage()

        async def story() -> Turn | None:
            stored = await load(self._connection, session_id)
            turn = await read_turn(self._connection, session_id, turn_id)
            if turn.status != "working" or stored.active != turn_id or not approvals:
                raise SessionChanged(f"A turn that is {turn.status} cannot ask for approval.")
            if stored.cancelled == turn_id:
                return await end_turn(self._connection, stored, turn, "cancelled", spent, None)
            before = len(await self._asked(session_id, turn_id))
            transaction = _suspension(stored, turn, approvals, spent, before=before)
            await commit(self._connection, transaction)
            return None

        return await until_committed(story)

    async def answer(
        self, session_id: str, turn_id: str, call_id: str, decision: Decision, reason: str | None
    ) -> bool:
        """Record the user's word; True when nothing is open any more: the caller enqueues.

        Raises SessionNotFound, TurnNotFound, ApprovalNotFound, ApprovalAlreadyAnswered.
        """

        async def story() -> bool:
            stored = await load(self._connection, session_id)
            turn = await read_turn(self._connection, session_id, turn_id)
            asked = await self._asked(session_id, turn_id)
            answered = await self.answers(session_id, turn_id)
            if call_id in answered:
                raise ApprovalAlreadyAnswered(
                    f"This was answered already: {answered[call_id].decision}."
                )
            if call_id not in asked or turn.status != "awaiting_approval":
                raise ApprovalNotFound("The turn does not wait for an approval of this call.")
            last = asked.keys() - answered.keys() == {call_id}
            answer = Answer(decision=decision, reason=reason)
            transaction = _answering(stored, turn, asked[call_id], answer, last=last)
            await commit(self._connection, transaction)
            return last

        return await until_committed(story)

    async def approvals(self, session_id: str, turn_id: str) -> list[PendingApproval]:
        """Return what still waits for the user's word, in the order it was asked."""
        asked = await self._asked(session_id, turn_id)
        answered = await self.answers(session_id, turn_id)
        return [approval for call, approval in asked.items() if call not in answered]

    async def answers(self, session_id: str, turn_id: str) -> dict[str, Answer]:
        """Return every answer given in this turn, by call id."""
        rows = await self._connection.ask("HGETALL", keys.answers(session_id, turn_id))
        return {call: Answer.model_validate_json(text) for call, text in rows.items()}

    async def allowed_tools(self, session_id: str) -> set[str]:
        """Return the tools that the user allowed for the session's life."""
        return set(await self._connection.ask("SMEMBERS", keys.tools(session_id)))

    async def _asked(self, session_id: str, turn_id: str) -> dict[str, PendingApproval]:
        rows = await self._connection.ask("HGETALL", keys.approvals(session_id, turn_id))
        asked = sorted(map(_ASKED.validate_json, rows.values()), key=lambda row: row[0])
        return {approval.call_id: approval for _, approval in asked}


def _suspension(
    stored: StoredSession,
    turn: Turn,
    approvals: list[PendingApproval],
    usage: Usage,
    *,
    before: int,
) -> Transaction:
    waiting = turn.model_copy(
        update={"status": "awaiting_approval", "usage": turn.usage.plus(usage)}
    )
    record = stored.session.model_copy(
        update={"activity": "awaiting_approval", "usage": stored.session.usage.plus(usage)}
    )
    transaction = Transaction.replacing(stored, record)
    write_turn(transaction, waiting)
    transaction.write("DEL", keys.lease(turn.id))
    transaction.events.append(usage_event(waiting, record))
    asked = keys.approvals(turn.session_id, turn.id)
    for position, approval in enumerate(approvals, start=before):
        transaction.write("HSET", asked, approval.call_id, encode((position, approval)))
        _remember(transaction, asked_record(turn.id, approval))
        data = {"turn_id": turn.id, **approval.model_dump(mode="json", exclude={"grant"})}
        transaction.events.append(NewEvent(type="approval.requested", data=data))
    return transaction


def _answering(
    stored: StoredSession, turn: Turn, approval: PendingApproval, answer: Answer, *, last: bool
) -> Transaction:
    activity = "working" if last else "awaiting_approval"
    record = stored.session.model_copy(update={"activity": activity})
    transaction = Transaction.replacing(stored, record)
    call = approval.call_id
    transaction.write("HSET", keys.answers(turn.session_id, turn.id), call, encode(answer))
    _remember(transaction, answered_record(asked_record(turn.id, approval), answer))
    if answer.decision == "session":
        transaction.write("SADD", keys.tools(turn.session_id), approval.grant or approval.tool)
    data = {"turn_id": turn.id, "call_id": call, **answer.model_dump(mode="json")}
    transaction.events.append(NewEvent(type="approval.answered", data=data))
    transaction.topics.append(keys.turn_topic(turn.id))
    return transaction


def _remember(transaction: Transaction, record: ApprovalRecord) -> None:
    key = keys.approval_records(transaction.session_id)
    transaction.write("RPUSH", key, encode(record))
    transaction.write("LTRIM", key, -RECORDS_KEPT, -1)
