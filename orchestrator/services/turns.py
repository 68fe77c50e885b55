"""Turns: prompts in, cancels, answers to approvals.

Owns the order of steps between record and queue. Refuses to run a turn: workers do.
"""

from __future__ import annotations

from typing import Final

import structlog

from orchestrator.domain.errors import InvalidArgument, StoreUnavailable, TurnNotFound
from orchestrator.domain.history import Decision
from orchestrator.domain.ids import new_id
from orchestrator.domain.message import Message, Todo
from orchestrator.domain.turn import Turn, TurnLimits, validate_prompt
from orchestrator.services.clock import now
from orchestrator.store.facade import Store
from orchestrator.wire.bodies import Page

MAX_KEY_CHARACTERS: Final = 200
"""Characters of an idempotency key."""

_log = structlog.get_logger(__name__)


class TurnService:
    """What clients do with turns and the conversation."""

    def __init__(self, store: Store) -> None:
        """Work on the records in `store`."""
        self._store = store

    async def submit(
        self, session_id: str, prompt: str, key: str | None, limits: TurnLimits | None = None
    ) -> Turn:
        """Accept a prompt; it runs at once or after those before it.

        The same `key` in the same session returns the first turn again. Raises
        SessionNotFound, SessionNotReady, PromptEmpty, PromptTooLong, QueueFull or
        InvalidArgument for a key that is empty, longer than 200 characters or not printable.
        """
        _check_key(key)
        turn = Turn(
            id=new_id(),
            session_id=session_id,
            prompt=validate_prompt(prompt),
            created_at=now(),
            limits=limits or TurnLimits(),
        )
        accepted, is_active = await self._store.turns.accept(turn, key)
        if is_active:
            await self._enqueue(accepted)
        return accepted

    async def get(self, session_id: str, turn_id: str) -> Turn:
        """Return a turn; raises SessionNotFound or TurnNotFound."""
        return await self._store.turns.get(session_id, turn_id)

    async def unfinished(self, session_id: str) -> list[Turn]:
        """Return the active turn and those that wait behind it, in order."""
        await self._store.sessions.get(session_id)
        active = await self._store.turns.active(session_id)
        pending = await self._store.turns.pending(session_id)
        return [active, *pending] if active else pending

    async def cancel(self, session_id: str, turn_id: str) -> Turn:
        """Ask a turn to end; success also when it already has.

        Raises SessionNotFound or TurnNotFound.
        """
        await self._store.turns.get(session_id, turn_id)
        following = await self._store.turns.request_cancel(session_id, turn_id)
        if following is not None:
            await self._enqueue(following)
        return await self._store.turns.get(session_id, turn_id)

    async def cancel_all(self, session_id: str) -> None:
        """Cancel what waits, last first so that nothing is promoted, then what runs."""
        active = await self._store.turns.active(session_id)
        waiting = await self._store.turns.pending(session_id)
        for turn in [*reversed(waiting), *([active] if active else [])]:
            try:
                await self._store.turns.request_cancel(session_id, turn.id)
            except TurnNotFound:
                continue

    async def answer(
        self, session_id: str, turn_id: str, call_id: str, decision: Decision, reason: str | None
    ) -> Turn:
        """Record the user's word; the turn goes on once no question is open.

        Raises SessionNotFound, TurnNotFound, ApprovalNotFound or ApprovalAlreadyAnswered.
        """
        turn = await self._store.turns.get(session_id, turn_id)
        if await self._store.turns.answer(session_id, turn_id, call_id, decision, reason):
            await self._enqueue(turn)
        return await self._store.turns.get(session_id, turn_id)

    async def messages(self, session_id: str, before: str | None, limit: int) -> Page[Message]:
        """Return a page of the transcript, oldest first; raises SessionNotFound."""
        await self._store.sessions.get(session_id)
        return await self._store.history.messages(session_id, before, limit)

    async def todos(self, session_id: str) -> list[Todo]:
        """Return the task list; raises SessionNotFound."""
        await self._store.sessions.get(session_id)
        return await self._store.history.todos(session_id)

    async def _enqueue(self, turn: Turn) -> None:
        """Tell the workers; when that fails the sweep does, so the prompt stays accepted."""
        try:
            await self._store.queue.enqueue(turn.session_id, turn.id)
        except StoreUnavailable as error:
            _log.warning("turn.enqueue_failed", turn=turn.id, reason=error.detail)


def _check_key(key: str | None) -> None:
    if key is None:
        return
    if not key or len(key) > MAX_KEY_CHARACTERS or not key.isprintable():
        raise InvalidArgument(
            f"An Idempotency-Key has 1 to {MAX_KEY_CHARACTERS} printable characters."
        )
