"""The one agent that all turns of a process share.

Owns which capabilities and tools it has and what it is told about itself.
Refuses anything of a single turn: that comes as `TurnDeps` when it runs.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from pydantic_ai import Agent
from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.tools import DeferredToolRequests
from pydantic_ai_harness.compaction import ClearToolResults
from pydantic_ai_harness.filesystem import FileSystem
from pydantic_ai_harness.planning import Planning
from pydantic_ai_harness.repair_tool_arguments import RepairToolArguments
from pydantic_ai_harness.repo_context import RepoContext
from pydantic_ai_harness.shell import Shell

from orchestrator.agent.deps import TurnDeps
from orchestrator.agent.job_tools import job_toolset
from orchestrator.agent.lua_tool import lua_toolset
from orchestrator.agent.policy import TurnPolicy
from orchestrator.agent.project_tools import ProjectToolset
from orchestrator.agent.shell_tool import shell_toolset
from orchestrator.domain.limits import COMMAND_TIMEOUT_S, MAX_READ_LINES

Answer = str | DeferredToolRequests

MAX_TOOL_CHARACTERS: Final = 50_000
"""Characters of one tool's answer that the model is sent."""

MAX_TOOL_RETRIES: Final = 5
"""Failures of one tool in a row that the model may correct before the turn fails."""

CLEAR_AT_FRACTION: Final = 0.7
"""Share of the model's context from which the oldest results of tools are left out."""

INSTRUCTIONS: Final = """\
You are Jido Code, a software engineering agent. You work on one project, inside a sandbox: the
project directory is the only writable place and there is no network unless a command shows
otherwise. Read before you change. Keep to the project's conventions, change what was asked and
no more, and mend causes rather than symptoms.

Work until the request is done. Ask only for what you cannot find out yourself. Verify your work
with the project's own tests or by running it, and report honestly what you checked and what not.
Remove scratch files that you made. Use `lua` when one step touches many files. A result that
says a call was interrupted, cancelled or denied is final: look at what happened before trying
anything like it again.

Commands run to their end within 120 seconds unless you give more time. `run_command` starts
afresh each time, `shell` keeps its directory and variables, and what has to go on (a server, a
watcher) is for `start_command`: it outlives your turn, so stop what is of no more use. Use TMPDIR
for temporary files.
"""


async def _project(ctx: object) -> str:
    workspace = ctx.workspace  # type: ignore[attr-defined]
    return f"Your project is `{await workspace.working_dir()}`. Commands start there."


def _capabilities() -> list[AbstractCapability[TurnDeps]]:
    return [
        FileSystem[TurnDeps](
            content_hashes=False,
            max_read_lines=MAX_READ_LINES,
            max_read_chars=MAX_TOOL_CHARACTERS,
            tools=("read_file", "write_file", "edit_file", "list_files", "grep"),
            read_only_patterns=("**/.git", "**/.jido_code/settings.json"),
            max_retries=MAX_TOOL_RETRIES,
        ),
        Shell[TurnDeps](
            # The sandbox is the boundary: a list of words would only pretend to be one.
            denied_commands=[],
            allow_interactive=True,
            default_timeout=COMMAND_TIMEOUT_S,
            max_output_chars=MAX_TOOL_CHARACTERS,
            tools=("run_command",),
        ),
        Planning[TurnDeps](store_resolver=lambda ctx: ctx.deps.plan, tools=("write_plan",)),
        RepoContext[TurnDeps](expose_inventory_tool=False),
        ClearToolResults[TurnDeps](max_fraction=CLEAR_AT_FRACTION),
        RepairToolArguments[TurnDeps](),
        TurnPolicy(),
    ]


@lru_cache(maxsize=1)
def shared_agent() -> Agent[TurnDeps, Answer]:
    """Return the agent, built once; it takes tens of milliseconds, so do it before forking."""
    agent = Agent[TurnDeps, Answer](
        deps_type=TurnDeps,
        output_type=[str, DeferredToolRequests],
        name="jido",
        instructions=INSTRUCTIONS,
        toolsets=[lua_toolset(), shell_toolset(), job_toolset(), ProjectToolset()],
        capabilities=_capabilities(),
        retries=MAX_TOOL_RETRIES,
    )
    agent.instructions(_project)
    return agent
