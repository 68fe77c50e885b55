"""Turns (being built)."""

from __future__ import annotations

from orchestrator.domain.history import Answer, Decision, PendingApproval
from orchestrator.domain.session import Usage
from orchestrator.domain.turn import Turn, TurnError, TurnStatus


class TurnStore:
    """Turns of sessions: at most one is active, others wait."""

    async def accept(self, turn: Turn, idempotency_key: str | None) -> tuple[Turn, bool]:
        """Second: True when it became active now and the caller must enqueue it."""
        raise NotImplementedError

    async def get(self, session_id: str, turn_id: str) -> Turn:
        """Raises SessionNotFound, TurnNotFound."""
        raise NotImplementedError

    async def active(self, session_id: str) -> Turn | None:
        """Return the active turn."""
        raise NotImplementedError

    async def pending(self, session_id: str) -> list[Turn]:
        """Return waiting turns, next first."""
        raise NotImplementedError

    async def begin(self, session_id: str, turn_id: str, worker_id: str) -> Turn | None:
        """Take the turn and its lease; None when somebody else has it or it is over."""
        raise NotImplementedError

    async def finish(
        self,
        session_id: str,
        turn_id: str,
        status: TurnStatus,
        usage: Usage,
        error: TurnError | None = None,
    ) -> Turn | None:
        """`usage` of this run is added; returns the promoted turn, to be enqueued, or None."""
        raise NotImplementedError

    async def suspend(
        self,
        session_id: str,
        turn_id: str,
        approvals: list[PendingApproval],
        usage: Usage | None = None,
    ) -> Turn | None:
        """None; or, when a cancel came first (turn is then cancelled), the promoted turn."""
        raise NotImplementedError

    async def answer(
        self, session_id: str, turn_id: str, call_id: str, decision: Decision, reason: str | None
    ) -> bool:
        """Return True when no approval is open any more: the caller enqueues the turn."""
        raise NotImplementedError

    async def answers(self, session_id: str, turn_id: str) -> dict[str, Answer]:
        """Return answers by call id."""
        raise NotImplementedError

    async def allowed_tools(self, session_id: str) -> set[str]:
        """Return tools allowed for the session's life."""
        raise NotImplementedError

    async def request_cancel(self, session_id: str, turn_id: str) -> Turn | None:
        """Cancel; returns a turn that became active by it, to be enqueued, or None."""
        raise NotImplementedError

    async def is_cancel_requested(self, session_id: str, turn_id: str) -> bool:
        """Say whether a cancel waits for the worker."""
        raise NotImplementedError

    async def orphans(self) -> list[tuple[str, Turn]]:
        """Active turns that should have a lease and have none.

        queued, or awaiting_approval with every answer given: enqueue again; working: interrupted.
        """
        raise NotImplementedError
