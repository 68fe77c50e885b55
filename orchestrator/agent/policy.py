"""What the agent may do unasked, and how long each call took.

Owns which tools wait for approval in which mode. Refuses to answer for the
user: a call that waits ends the run.
"""

from __future__ import annotations

import posixpath
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.capabilities.abstract import ValidatedToolArgs, WrapToolExecuteHandler
from pydantic_ai.messages import ToolCallPart
from pydantic_ai.tools import RunContext, ToolDefinition

from orchestrator.agent.deps import TurnDeps
from orchestrator.agent.edit_arguments import exact_edit
from orchestrator.agent.live import current_call, current_tool
from orchestrator.agent.request import Approval

COMMAND_TOOLS: Final = frozenset({"run_command", "shell", "lua", "start_command", "send_input"})
"""Tools that run code in the sandbox; what a started shell is sent, it runs."""

SHOWN_TOOLS: Final = COMMAND_TOOLS | {"check_command", "stop_command"}
"""Tools whose output is shown while they run."""

EDIT_TOOLS: Final = frozenset({"write_file", "edit_file"})
"""Tools that change files."""

_ASKED: Final[dict[Approval, frozenset[str]]] = {
    "ask": COMMAND_TOOLS | EDIT_TOOLS,
    "edits": COMMAND_TOOLS,
    "all": frozenset(),
}
_REASONS: Final = {
    "run_command": "Runs a command in the session's sandbox.",
    "shell": "Runs a command in a shell of the session's sandbox that stays.",
    "lua": "Runs a Lua script in the session's sandbox.",
    "start_command": "Starts a command in the session's sandbox that goes on in the background.",
    "send_input": "Writes to a command that runs in the session's sandbox.",
    "write_file": "Writes a file of the project.",
    "edit_file": "Changes a file of the project.",
}


def needs_approval(
    tool: str,
    approval: Approval,
    allowed_tools: frozenset[str],
    grants: Mapping[str, str] | None = None,
) -> bool:
    """Say whether a call of `tool` waits for the user's word.

    `grants` are those of the project's own tools by name: they can do what `lua` can, so they
    ask where it does, and what was allowed for the session is their present content only.
    """
    grant = (grants or {}).get(tool)
    acts_as = tool if grant is None else "lua"
    return acts_as in _ASKED[approval] and (grant or tool) not in allowed_tools


def approval_reason(tool: str) -> str:
    """Return why `tool` asks, in one sentence."""
    return _REASONS.get(tool, "Runs a tool of the project in the session's sandbox.")


@dataclass
class TurnPolicy(AbstractCapability[TurnDeps]):
    """Marks tools that ask, and measures each call."""

    async def prepare_tools(
        self, ctx: RunContext[TurnDeps], tool_defs: list[ToolDefinition]
    ) -> list[ToolDefinition]:
        """Mark the tools that wait for approval in this turn."""
        deps = ctx.deps
        own = {tool.name: tool.grant for tool in deps.project_tools}
        return [
            replace(tool, kind="unapproved")
            if needs_approval(tool.name, deps.approval, deps.allowed_tools, own)
            else tool
            for tool in tool_defs
        ]

    async def wrap_tool_execute(
        self,
        ctx: RunContext[TurnDeps],
        *,
        call: ToolCallPart,
        tool_def: ToolDefinition,
        args: ValidatedToolArgs,
        handler: WrapToolExecuteHandler,
    ) -> Any:
        """Run the call, measured, with its commands' output shown live."""
        shown = call.tool_call_id if call.tool_name in SHOWN_TOOLS else None
        token, named = current_call.set(shown), current_tool.set(call.tool_name)
        started = time.perf_counter()
        try:
            if call.tool_name == "write_file":
                await _make_parents(ctx, args.get("path"))
            elif call.tool_name == "edit_file":
                args = await exact_edit(ctx.deps.workspace, args)
            return await handler(args)
        finally:
            ctx.deps.elapsed_ms[call.tool_call_id] = (time.perf_counter() - started) * 1000
            current_call.reset(token)
            current_tool.reset(named)


async def _make_parents(ctx: RunContext[TurnDeps], path: object) -> None:
    """Create the directories of a file to be written: models expect it, the library refuses."""
    parent = posixpath.dirname(path) if isinstance(path, str) else ""
    if parent:
        # What is wrong with the path the tool itself says best.
        with suppress(OSError, ValueError):
            await ctx.workspace.make_dir(parent)
