"""What a turn can run in the sandbox's interpreter: scripts, and the project's trusted tools.

Owns that the tools of a turn stay what they were at its start: their bytes were read and hashed
then, and every call sends those. Refuses to fail a turn for a tool: what cannot be loaded is told
to the reader once, and again when it differs.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic_ai.workspaces import WorkspaceError

from orchestrator.agent.request import LuaRunner, ToolCaller
from orchestrator.domain.errors import InvalidSettings
from orchestrator.domain.events import NewEvent
from orchestrator.domain.limits import TOOL_TIMEOUT_S
from orchestrator.domain.project_tools import ProjectTool
from orchestrator.sandboxes.errors import ChannelClosed, ToolError
from orchestrator.sandboxes.project_tools import NO_TOOLS, ToolSources
from orchestrator.sandboxes.tools import LuaResult, SandboxTools
from orchestrator.sandboxes.workspace import SandboxWorkspace
from orchestrator.services.project_tools import declare, load, outcome_of
from orchestrator.services.story import notice
from orchestrator.services.trust import digest_of
from orchestrator.store.facade import Store
from orchestrator.wire.bodies import LuaError, LuaOutcome

_MARK = "project_tools"


@dataclass(frozen=True, slots=True)
class TurnTools:
    """The interpreter of one turn."""

    lua: LuaRunner
    call: ToolCaller
    project_tools: list[ProjectTool] = field(default_factory=list)


async def turn_tools(
    store: Store, workspace: SandboxWorkspace, session_id: str, project_path: str, home: Path
) -> TurnTools:
    """Return what this turn can run, and tell the reader of files that are no tools.

    Raises StoreUnavailable or SessionNotFound.
    """
    tools: list[ProjectTool] = []
    sources, event = NO_TOOLS, None
    try:
        sandbox = SandboxTools(await workspace.channel())
        declared = await declare(sandbox, await load(sandbox, home, project_path))
        tools, sources, event = declared.tools, declared.loaded.sources, declared.notice()
    except (ChannelClosed, WorkspaceError):
        # The turn itself will meet this and say so.
        pass
    except (ToolError, InvalidSettings) as error:
        event = notice(
            "warning", error.code, f"The project's tools were not loaded: {error.detail}"
        )
    await _tell(store, session_id, event)
    return TurnTools(lua_runner(workspace, sources), _tool_caller(workspace, sources), tools)


async def _tell(store: Store, session_id: str, event: NewEvent | None) -> None:
    said = "" if event is None else digest_of(str(event.data["text"]).encode())[:16]
    await store.events.append_once(session_id, _MARK, said, [] if event is None else [event])


def lua_runner(workspace: SandboxWorkspace, sources: ToolSources) -> LuaRunner:
    """Return what runs a Lua script in the sandbox of `workspace`; it sees `sources`."""

    async def run(script: str, timeout_s: float | None) -> LuaOutcome:
        async def work() -> LuaResult:
            sandbox = SandboxTools(await workspace.channel())
            return await sandbox.run_lua(script, timeout_s or TOOL_TIMEOUT_S, tools=sources)

        return await _outcome(work())

    return run


def _tool_caller(workspace: SandboxWorkspace, sources: ToolSources) -> ToolCaller:
    async def call(name: str, arguments: dict[str, Any]) -> LuaOutcome:
        async def work() -> LuaResult:
            return await SandboxTools(await workspace.channel()).call_tool(name, arguments, sources)

        return await _outcome(work())

    return call


async def _outcome(work: Awaitable[LuaResult]) -> LuaOutcome:
    started = time.perf_counter()
    try:
        return outcome_of(await work)
    except ToolError as error:
        elapsed_ms = (time.perf_counter() - started) * 1000
        failure = LuaError(code=error.code, message=error.detail)
        return LuaOutcome(ok=False, error=failure, elapsed_ms=elapsed_ms)
