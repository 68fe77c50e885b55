"""A turn without a store: a sink that remembers, a project on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic_ai.workspaces import LocalWorkspaceBackend, WorkspaceBackend

from orchestrator.agent.models import Models
from orchestrator.agent.request import (
    Approval,
    LuaRunner,
    StopSignal,
    ToolCaller,
    TurnOutcome,
    TurnRequest,
)
from orchestrator.agent.turn import run_turn
from orchestrator.domain.events import NewEvent
from orchestrator.domain.history import Answer, HistoryEntry
from orchestrator.domain.ids import new_id
from orchestrator.domain.message import Message, Todo
from orchestrator.domain.models import SessionConfig, parse_model
from orchestrator.domain.project_tools import ProjectTool
from orchestrator.domain.session import Session
from orchestrator.domain.turn import Turn
from orchestrator.settings import load_settings
from orchestrator.wire.bodies import LuaError, LuaOutcome

KEYS = {"ANTHROPIC_API_KEY": "test", "OPENAI_API_KEY": "test", "GEMINI_API_KEY": "test"}


@dataclass
class MemorySink:
    """Remembers what a turn wrote."""

    entries: list[HistoryEntry] = field(default_factory=list)
    events: list[NewEvent] = field(default_factory=list)
    todo_lists: list[list[Todo]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until what was written meets `condition`."""
        async with asyncio.timeout(20):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    async def emit(self, events: list[NewEvent]) -> None:
        self.events += events
        self.changed.set()

    async def record(self, entries: list[HistoryEntry], events: list[NewEvent]) -> None:
        self.entries += entries
        self.events += events

    async def todos(self, todos: list[Todo]) -> None:
        self.todo_lists.append(todos)

    @property
    def model_history(self) -> list[dict[str, Any]]:
        return [entry.model for entry in self.entries if entry.model is not None]

    @property
    def messages(self) -> list[Message]:
        return [entry.message for entry in self.entries if entry.message is not None]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event.data for event in self.events if event.type == kind]

    def text(self) -> str:
        return "".join(data["text"] for data in self.of("text.delta"))


async def answer_lua(script: str, timeout_s: float | None) -> LuaOutcome:
    """Stand for the sandbox's interpreter: what it runs is not the agent's matter."""
    if "fail" in script:
        error = LuaError(code="lua_timeout", message="too slow")
        return LuaOutcome(ok=False, output="half\n", error=error, elapsed_ms=1)
    return LuaOutcome(ok=True, value={"answer": 42}, output="printed\n", elapsed_ms=1)


@dataclass
class Play:
    """One session on a directory, for several turns."""

    root: Path
    model: str = "offline:demo"
    openai_base_url: str | None = None
    anthropic_base_url: str | None = None
    google_base_url: str | None = None
    ollama_base_url: str = "http://127.0.0.1:9/v1"
    environment: Mapping[str, str] = field(default_factory=lambda: dict(KEYS))
    approval: Approval = "all"
    allowed_tools: frozenset[str] = frozenset()
    todos: list[Todo] = field(default_factory=list)
    workspace: WorkspaceBackend | None = None
    lua: LuaRunner = answer_lua
    project_tools: list[ProjectTool] = field(default_factory=list)
    call_tool: ToolCaller | None = None
    max_model_requests: int | None = None
    max_cost_usd: float | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    sink: MemorySink = field(default_factory=MemorySink)
    turn: Turn | None = None

    async def prompt(self, prompt: str, stop: StopSignal | None = None) -> TurnOutcome:
        """Run a new turn on the history so far."""
        self.turn = Turn(
            id=new_id(), session_id=new_id(), prompt=prompt, created_at=datetime.now(UTC)
        )
        return await self._run(self.turn, {}, stop)

    async def go_on(self, answers: dict[str, Answer]) -> TurnOutcome:
        """Continue the suspended turn with answers."""
        assert self.turn is not None
        return await self._run(self.turn, answers, None)

    async def _run(
        self, turn: Turn, answers: dict[str, Answer], stop: StopSignal | None
    ) -> TurnOutcome:
        provider, name = parse_model(self.model)
        config = SessionConfig(
            provider=provider,
            model=name,
            temperature=self.temperature,
            max_tokens=self.max_tokens,
        )
        moment = datetime.now(UTC)
        session = Session(
            id=turn.session_id,
            name="play",
            project_path=str(self.root),
            config=config,
            created_at=moment,
            updated_at=moment,
        )
        request = TurnRequest(
            session=session,
            turn=turn,
            model_history=self.sink.model_history,
            workspace=self.workspace or LocalWorkspaceBackend(self.root),
            lua=self.lua,
            project_tools=self.project_tools,
            call_tool=self.call_tool,
            todos=self.todos,
            approval=self.approval,
            allowed_tools=self.allowed_tools,
            answers=answers,
            max_model_requests=self.max_model_requests,
            max_cost_usd=self.max_cost_usd,
        )
        settings = load_settings(
            openai_base_url=self.openai_base_url,
            anthropic_base_url=self.anthropic_base_url,
            google_base_url=self.google_base_url,
            ollama_base_url=self.ollama_base_url,
        )
        return await run_turn(request, self.sink, Models(settings, self.environment), stop)
