"""What one turn is given and what comes of it.

Owns the agent's whole interface: `TurnRequest` in, `TurnSink` beside it,
`TurnOutcome` out. Refuses stores, queues and sandboxes: they come by argument.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from pydantic_ai.workspaces import WorkspaceBackend

from orchestrator.domain.events import NewEvent
from orchestrator.domain.history import Answer, HistoryEntry, PendingApproval
from orchestrator.domain.message import Todo
from orchestrator.domain.project_tools import ProjectTool
from orchestrator.domain.session import Session, Usage
from orchestrator.domain.turn import Turn, TurnError
from orchestrator.wire.bodies import LuaOutcome

Approval = Literal["ask", "edits", "all"]
"""ask: writes, commands and scripts wait for a word; edits: commands and scripts; all: nothing."""

StopReason = Literal["cancelled", "interrupted"]
"""cancelled: somebody asked; interrupted: this process has to end."""

OutcomeStatus = Literal["completed", "failed", "cancelled", "interrupted", "awaiting_approval"]

LuaRunner = Callable[[str, float | None], Awaitable[LuaOutcome]]
"""Runs a script in the sandbox; the second argument is seconds, None takes the default."""

ToolCaller = Callable[[str, dict[str, Any]], Awaitable[LuaOutcome]]
"""Calls a tool of the project in the sandbox, by name, with checked arguments."""


class StopSignal:
    """Asks a running turn to end; the first reason counts."""

    def __init__(self) -> None:
        self.reason: StopReason | None = None
        self._asked = asyncio.Event()

    def ask(self, reason: StopReason) -> None:
        """Ask once; later reasons are ignored."""
        if self.reason is None:
            self.reason = reason
            self._asked.set()

    async def wait(self) -> StopReason:
        """Return the reason as soon as there is one."""
        await self._asked.wait()
        assert self.reason is not None
        return self.reason


@dataclass(frozen=True, kw_only=True)
class TurnRequest:
    """Everything a turn needs to know."""

    session: Session
    turn: Turn
    model_history: list[dict[str, object]]
    """What the model was sent and answered so far, oldest first, in the agent library's JSON."""
    workspace: WorkspaceBackend
    """The session's sandbox; stays open, its owner closes it."""
    lua: LuaRunner
    project_tools: Sequence[ProjectTool] = ()
    """The project's own tools, all of them trusted."""
    call_tool: ToolCaller | None = None
    """None when there are no `project_tools`."""
    todos: list[Todo] = field(default_factory=list)
    approval: Approval = "all"
    allowed_tools: frozenset[str] = frozenset()
    """Tools the user allowed for the session's life."""
    answers: Mapping[str, Answer] = field(default_factory=dict)
    """Answers by call; not empty means that this continues a suspended turn."""
    max_model_requests: int | None = None
    """Requests to the model at most; None means no limit."""
    max_cost_usd: float | None = None
    """United States dollars at most, where the price is known; None means no limit."""


class TurnSink(Protocol):
    """Where a turn's story goes; each call is all or nothing and in order."""

    async def emit(self, events: list[NewEvent]) -> None:
        """Append events that change no record."""
        ...

    async def record(self, entries: list[HistoryEntry], events: list[NewEvent]) -> None:
        """Append to the history and tell of it, in this order."""
        ...

    async def todos(self, todos: list[Todo]) -> None:
        """Replace the task list and tell of it."""
        ...


@dataclass(frozen=True, kw_only=True)
class TurnOutcome:
    """How a turn ended, or why it waits."""

    status: OutcomeStatus
    usage: Usage
    error: TurnError | None = None
    """Set when failed."""
    approvals: list[PendingApproval] = field(default_factory=list)
    """Calls that wait for an answer; set when awaiting_approval."""
