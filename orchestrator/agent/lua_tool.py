"""The agent's `lua` tool: one script instead of forty calls.

Owns the wording of the tool and of its answers. Refuses to run anything here:
the script runs in the sandbox.
"""

from __future__ import annotations

import json

from pydantic_ai.exceptions import ToolFailed
from pydantic_ai.tools import RunContext
from pydantic_ai.toolsets import FunctionToolset

from orchestrator.agent.deps import TurnDeps
from orchestrator.agent.parts import bounded
from orchestrator.domain.limits import MAX_COMMAND_TIMEOUT_S
from orchestrator.wire.bodies import LuaOutcome


async def lua(ctx: RunContext[TurnDeps], script: str, timeout_s: float | None = None) -> str:
    """Run a Lua 5.4 script inside the sandbox and return what it returns and prints.

    Use it when one step touches many files: a loop over forty files is one call. The script
    sees `jido`: read_file(path), write_file(path, text), list_dir(path), glob(pattern),
    grep(pattern), shell(command), stat(path), exists(path). A failing operation returns nil, a
    message and a code. Globals keep their values between calls. There is no os, io or require.
    The project's own tools are jido.tools.NAME(arguments).

    Args:
        ctx: The current run.
        script: Lua source. `return value` hands a value back, tables as JSON.
        timeout_s: Seconds; 30 when left out.
    """
    seconds = None if timeout_s is None else min(max(timeout_s, 0.1), MAX_COMMAND_TIMEOUT_S)
    outcome = await ctx.deps.lua(script, seconds)
    return answer_of(ctx, outcome)


def answer_of(ctx: RunContext[TurnDeps], outcome: LuaOutcome) -> str:
    """Return what the model is told of a script's end; raises ToolFailed for a failure."""
    text = _answer(outcome)
    if not outcome.ok:
        if outcome.error is not None and outcome.error.code == "lua_timeout" and ctx.tool_call_id:
            ctx.deps.workspace.timed_out.add(ctx.tool_call_id)
        raise ToolFailed(text)
    return text


def _answer(outcome: LuaOutcome) -> str:
    parts = []
    if outcome.output:
        parts.append(f"[output]\n{bounded(outcome.output.rstrip())}")
    if outcome.error is not None:
        parts.append(f"[error: {outcome.error.code}] {bounded(outcome.error.message)}")
    elif outcome.value is not None:
        value = outcome.value
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        parts.append(f"[value]\n{bounded(shown)}")
    return "\n".join(parts) or "(nothing returned, nothing printed)"


def lua_toolset() -> FunctionToolset[TurnDeps]:
    """Return the toolset with the one tool `lua`."""
    toolset: FunctionToolset[TurnDeps] = FunctionToolset(id="lua")
    toolset.add_function(lua, name="lua", takes_ctx=True)
    return toolset
