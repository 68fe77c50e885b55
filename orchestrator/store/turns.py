"""Turns of sessions: at most one is active, others wait behind it.

Owns accepting, beginning, finishing and cancelling, each one commit with its
events. Refuses to run anything: whoever makes a turn active enqueues it.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from orchestrator.domain.errors import (
    QueueFull,
    SessionNotFound,
    SessionNotReady,
    TurnNotFound,
)
from orchestrator.domain.limits import IDEMPOTENCY_KEYS_KEPT, MAX_QUEUED_TURNS
from orchestrator.domain.session import Usage
from orchestrator.domain.turn import FINAL_STATUSES, Turn, TurnError, TurnStatus
from orchestrator.store import keys
from orchestrator.store.approvals import Approvals
from orchestrator.store.codec import encode, utc_now
from orchestrator.store.endings import cancel_waiting, end_turn
from orchestrator.store.history import PROMPTS_KEPT
from orchestrator.store.leases import LEASE_MS
from orchestrator.store.transaction import (
    StoredSession,
    Transaction,
    commit,
    load,
    until_committed,
)
from orchestrator.store.turn_records import (
    activate,
    read_pending,
    read_turn,
    turn_event,
    write_turn,
)

_ORPHAN_CANDIDATES: Final = frozenset({"queued", "working", "awaiting_approval"})


class TurnStore(Approvals):
    """Turns of every session, and the approvals they wait for."""

    async def accept(self, turn: Turn, idempotency_key: str | None) -> tuple[Turn, bool]:
        """Take a new turn in; the flag says that it became active, so the caller enqueues it.

        The same key gives the first turn again, and False. When another turn is active, this
        one waits. Raises SessionNotFound, SessionNotReady, QueueFull.
        """

        async def story() -> tuple[Turn, bool]:
            stored = await load(self._connection, turn.session_id)
            known = await self._known(turn.session_id, idempotency_key)
            if known is not None:
                return known, False
            transaction = await self._acceptance(stored, turn)
            await self._remember(transaction, turn, idempotency_key)
            await commit(self._connection, transaction)
            return turn, stored.active is None

        return await until_committed(story)

    async def get(self, session_id: str, turn_id: str) -> Turn:
        """Return one turn; raises SessionNotFound, TurnNotFound."""
        return await read_turn(self._connection, session_id, turn_id)

    async def active(self, session_id: str) -> Turn | None:
        """Return the active turn, None when idle; raises SessionNotFound."""
        stored = await load(self._connection, session_id)
        if stored.active is None:
            return None
        return await self.get(session_id, stored.active)

    async def pending(self, session_id: str) -> list[Turn]:
        """Return the turns that wait, next first."""
        return await read_pending(self._connection, session_id)

    async def begin(self, session_id: str, turn_id: str, worker_id: str) -> Turn | None:
        """Take the turn and its lease for `worker_id`, and return it as working.

        None when somebody else has it, approvals are open, or it is over or gone.
        """

        async def story() -> Turn | None:
            stored = await load(self._connection, session_id)
            turn = await self.get(session_id, turn_id)
            if stored.active != turn_id or not await self._may_begin(turn):
                return None
            working = turn.model_copy(
                update={"status": "working", "started_at": turn.started_at or utc_now()}
            )
            record = stored.session.model_copy(update={"activity": "working"})
            transaction = Transaction.replacing(stored, record)
            write_turn(transaction, working)
            transaction.write("SET", keys.lease(turn_id), worker_id, "PX", LEASE_MS)
            if turn.started_at is None:
                transaction.events.append(turn_event("turn.started", working))
            await commit(self._connection, transaction)
            return working

        try:
            return await until_committed(story)
        except (SessionNotFound, TurnNotFound):
            return None

    async def finish(
        self,
        session_id: str,
        turn_id: str,
        status: TurnStatus,
        usage: Usage,
        error: TurnError | None = None,
    ) -> Turn | None:
        """End the active turn with a final `status`; `usage` of this run is added to it.

        Returns the turn promoted in its place, which the caller enqueues, or None. A turn that
        is over already, or gone with its session, stays as it is. Raises SessionChanged when
        the turn cannot end so.
        """

        async def story() -> Turn | None:
            stored = await load(self._connection, session_id)
            turn = await self.get(session_id, turn_id)
            if turn.status in FINAL_STATUSES or stored.active != turn_id:
                return None
            return await end_turn(self._connection, stored, turn, status, usage, error)

        try:
            return await until_committed(story)
        except (SessionNotFound, TurnNotFound):
            return None

    async def request_cancel(self, session_id: str, turn_id: str) -> Turn | None:
        """Cancel the turn: at once when no worker has it, else by telling its worker.

        Returns a turn promoted by it, which the caller enqueues, or None. A turn that is over
        is success. Raises SessionNotFound, TurnNotFound.
        """

        async def story() -> Turn | None:
            stored = await load(self._connection, session_id)
            turn = await self.get(session_id, turn_id)
            if turn.status in FINAL_STATUSES:
                return None
            if stored.active != turn_id:
                dropped = Transaction.replacing(stored, stored.session)
                cancel_waiting(dropped, turn)
                await commit(self._connection, dropped)
                return None
            if turn.status != "working":
                return await end_turn(self._connection, stored, turn, "cancelled", Usage())
            transaction = Transaction(session_id, stored.version)
            transaction.write("HSET", keys.session(session_id), "cancelled", turn_id)
            transaction.topics.append(keys.turn_topic(turn_id))
            await commit(self._connection, transaction)
            return None

        return await until_committed(story)

    async def is_cancel_requested(self, session_id: str, turn_id: str) -> bool:
        """Say whether a cancel waits for the turn's worker."""
        flagged = await self._connection.ask("HGET", keys.session(session_id), "cancelled")
        return bool(flagged == turn_id)

    async def orphans(self) -> list[tuple[str, Turn]]:
        """Return active turns that should be with a worker and are with none.

        `queued` and `awaiting_approval` (every answer is given) want to be enqueued again,
        `working` means that the worker is gone.
        """
        ids = await self._connection.ask("ZRANGE", keys.SESSIONS, 0, -1)
        active = await self._connection.ask_together(
            [("HGET", keys.session(session_id), "active") for session_id in ids]
        )
        found: list[tuple[str, Turn]] = []
        for session_id, turn_id in zip(ids, active, strict=True):
            turn = await self._orphan(session_id, turn_id) if turn_id else None
            if turn is not None:
                found.append((session_id, turn))
        return found

    async def _orphan(self, session_id: str, turn_id: str) -> Turn | None:
        text, leased, asked, answered = await self._connection.ask_together(
            [
                ("HGET", keys.turns(session_id), turn_id),
                ("EXISTS", keys.lease(turn_id)),
                ("HLEN", keys.approvals(session_id, turn_id)),
                ("HLEN", keys.answers(session_id, turn_id)),
            ]
        )
        if text is None or leased:
            return None
        turn = Turn.model_validate_json(text)
        if turn.status == "awaiting_approval" and answered < asked:
            return None
        return turn if turn.status in _ORPHAN_CANDIDATES else None

    async def _may_begin(self, turn: Turn) -> bool:
        if turn.status == "queued":
            return not await self._connection.ask("EXISTS", keys.lease(turn.id))
        return turn.status == "awaiting_approval" and not await self.approvals(
            turn.session_id, turn.id
        )

    async def _known(self, session_id: str, key: str | None) -> Turn | None:
        if key is None:
            return None
        turn_id = await self._connection.ask("HGET", keys.idempotency(session_id), _digest(key))
        return await self.get(session_id, turn_id) if turn_id else None

    async def _acceptance(self, stored: StoredSession, turn: Turn) -> Transaction:
        session = stored.session
        if session.status != "ready":
            raise SessionNotReady(
                f"The session is {session.status}. Wait until it is ready, or restart it.",
                status=session.status,
            )
        record = session.model_copy(update={"turns": session.turns + 1})
        if stored.active is None:
            record = record.model_copy(update={"activity": "working"})
        transaction = Transaction.replacing(stored, record)
        transaction.events.append(turn_event("turn.queued", turn))
        write_turn(transaction, turn)
        transaction.write("RPUSH", keys.prompts(session.id), encode(turn.prompt))
        transaction.write("LTRIM", keys.prompts(session.id), -PROMPTS_KEPT, -1)
        if stored.active is None:
            activate(transaction, turn)
            return transaction
        if await self._connection.ask("LLEN", keys.pending(session.id)) >= MAX_QUEUED_TURNS:
            raise QueueFull(
                f"{MAX_QUEUED_TURNS} prompts wait already. Let one finish, or cancel one."
            )
        transaction.write("RPUSH", keys.pending(session.id), turn.id)
        return transaction

    async def _remember(self, transaction: Transaction, turn: Turn, key: str | None) -> None:
        if key is None:
            return
        order, known = keys.idempotency_order(turn.session_id), keys.idempotency(turn.session_id)
        excess = int(await self._connection.ask("LLEN", order)) + 1 - IDEMPOTENCY_KEYS_KEPT
        if excess > 0:
            oldest = await self._connection.ask("LRANGE", order, 0, excess - 1)
            transaction.write("HDEL", known, *oldest)
            transaction.write("LPOP", order, excess)
        transaction.write("HSET", known, _digest(key), turn.id)
        transaction.write("RPUSH", order, _digest(key))


def _digest(key: str) -> str:
    return sha256(key.encode("utf-8", errors="surrogatepass")).hexdigest()
