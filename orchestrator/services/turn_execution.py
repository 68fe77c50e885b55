"""Running a turn: from taking it to promoting the next.

Owns the order of steps around the agent: lease, request, outcome, autosave,
and what becomes of turns whose worker is gone. Refuses to know how jobs reach
it or how many run at once.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, get_args

import structlog

from orchestrator.agent.conversation import close_open_calls
from orchestrator.agent.models import Models
from orchestrator.agent.parts import HistoryUnreadable
from orchestrator.agent.request import Approval, StopSignal, TurnOutcome, TurnRequest
from orchestrator.agent.turn import run_turn
from orchestrator.domain.errors import JidoError, SessionNotFound, StoreUnavailable
from orchestrator.domain.ids import new_id
from orchestrator.domain.limits import TURN_TIMEOUT_S
from orchestrator.domain.session import Usage
from orchestrator.domain.turn import Turn, TurnError
from orchestrator.sandboxes.agent_workspace import AgentWorkspace
from orchestrator.services.clock import now
from orchestrator.services.saving import Saving
from orchestrator.services.turn_sink import StoreSink
from orchestrator.services.turn_tools import turn_tools
from orchestrator.services.turn_watch import TurnWatch
from orchestrator.store.facade import Store

STALE_QUEUED_S: Final = 3.0
"""Seconds a turn may be queued without a worker before it is enqueued again."""

_log = structlog.get_logger(__name__)


class TurnExecution:
    """Runs turns and mends those that nobody runs any more."""

    def __init__(
        self,
        store: Store,
        models: Models,
        saving: Saving,
        channel_path: Callable[[str], Path],
        approval: Approval,
        home: Path,
        *,
        timeout_s: float = TURN_TIMEOUT_S,
    ) -> None:
        """Work with these; `channel_path` gives the socket that leads to a session's sandbox.

        `home` holds what the user trusts.
        """
        self._store = store
        self._models = models
        self._saving = saving
        self._channel_path = channel_path
        self._approval: Approval = approval
        self._home = home
        self._timeout_s = timeout_s

    async def execute(self, session_id: str, turn_id: str, stop: StopSignal | None = None) -> bool:
        """Run one turn, unless somebody else has it or it is over; True when it ran here.

        Raises StoreUnavailable when the records cannot be kept; the sweep mends that later.
        """
        worker_id = new_id()
        stop = stop or StopSignal()
        turn = await self._store.turns.begin(session_id, turn_id, worker_id)
        if turn is None:
            return False
        watch = TurnWatch(self._store, session_id, turn_id, worker_id)
        async with watch.running(stop, self._timeout_s):
            outcome = await self._outcome(turn, stop, watch)
            if watch.lost:
                return True
            following = await self._conclude(turn, outcome, timed_out=watch.timed_out)
        if following is not None:
            await self._enqueue(following)
        await self._saving.autosave(session_id)
        return True

    async def _outcome(self, turn: Turn, stop: StopSignal, watch: TurnWatch) -> TurnOutcome:
        workspace = AgentWorkspace(str(self._channel_path(turn.session_id)), turn.session_id)
        try:
            request = await self._request(turn, workspace)
            sink = StoreSink(self._store, turn.session_id, turn.id, lambda: watch.lost)
            return await run_turn(request, sink, self._models, stop)
        except (StoreUnavailable, SessionNotFound):
            raise
        except JidoError as error:
            return _failed(error.code, error.detail)
        except Exception:  # noqa: BLE001 - whatever breaks, the session must not stay busy for ever
            error_id = new_id()
            _log.exception("turn.broke", turn=turn.id, error_id=error_id)
            return _failed(
                "internal", f"An internal error. The worker's log has it under {error_id}."
            )
        finally:
            await workspace.aclose()

    async def _request(self, turn: Turn, workspace: AgentWorkspace) -> TurnRequest:
        store, session_id = self._store, turn.session_id
        # One after the other: each takes a fraction of what opening another connection does.
        session = await store.sessions.get(session_id)
        history = await store.history.model_messages(session_id)
        todos = await store.history.todos(session_id)
        allowed = await store.turns.allowed_tools(session_id)
        answers = await store.turns.answers(session_id, turn.id)
        agreed = await store.sessions.approval(session_id)
        project = session.project_path
        tools = await turn_tools(store, workspace, session_id, project, self._home)
        return TurnRequest(
            session=session,
            turn=turn,
            model_history=history,
            workspace=workspace,
            lua=tools.lua,
            project_tools=tools.project_tools,
            call_tool=tools.call,
            todos=todos,
            approval=turn.limits.approval or _known(agreed) or self._approval,
            allowed_tools=frozenset(allowed),
            answers=answers,
            max_model_requests=turn.limits.max_model_requests,
            max_cost_usd=turn.limits.max_cost_usd,
        )

    async def _conclude(self, turn: Turn, outcome: TurnOutcome, *, timed_out: bool) -> Turn | None:
        """Write the outcome down; returns the turn that takes its place."""
        turns = self._store.turns
        if outcome.status == "awaiting_approval":
            return await turns.suspend(turn.session_id, turn.id, outcome.approvals, outcome.usage)
        status, error = outcome.status, outcome.error
        if timed_out and status == "interrupted":
            status = "failed"
            error = TurnError(
                code="turn_timeout",
                message=f"The turn was stopped after {self._timeout_s:,.0f} seconds.",
            )
        return await turns.finish(turn.session_id, turn.id, status, outcome.usage, error)

    async def _enqueue(self, turn: Turn) -> None:
        try:
            await self._store.queue.enqueue(turn.session_id, turn.id)
        except StoreUnavailable as error:
            _log.warning("turn.enqueue_failed", turn=turn.id, reason=error.detail)

    async def sweep(self) -> int:
        """Mend turns that no worker has; returns how many.

        Queued ones are enqueued again. Those whose worker is gone are closed as interrupted, with
        the calls it left open recorded so that none is repeated by itself.
        """
        mended = 0
        for session_id, turn in await self._store.turns.orphans():
            if turn.status == "working":
                await self.interrupt(session_id, turn)
            elif (
                turn.status == "queued"
                and (now() - turn.created_at).total_seconds() < STALE_QUEUED_S
            ):
                continue
            else:
                await self._enqueue(turn)
            mended += 1
        return mended

    async def interrupt(self, session_id: str, turn: Turn) -> None:
        """Close a turn whose worker is gone, and let the next one run."""
        _log.warning("turn.interrupted", turn=turn.id, session=session_id)
        try:
            history = await self._store.history.model_messages(session_id)
            entries, events = close_open_calls(turn.id, history, "interrupted")
            if entries:
                await self._store.history.append(session_id, entries, events)
        except SessionNotFound:
            return
        except HistoryUnreadable as error:
            _log.error("history.unreadable", session=session_id, reason=error.detail)
        following = await self._store.turns.finish(session_id, turn.id, "interrupted", Usage())
        if following is not None:
            await self._enqueue(following)
        await self._saving.autosave(session_id)


def _known(approval: str | None) -> Approval | None:
    return next((known for known in get_args(Approval) if known == approval), None)


def _failed(code: str, message: str) -> TurnOutcome:
    return TurnOutcome(status="failed", usage=Usage(), error=TurnError(code=code, message=message))
