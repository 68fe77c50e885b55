"""The agent's `shell` tool: commands one after another in a shell that stays.

Owns the wording of the tool and of its answers. Refuses to run anything here:
the shell lives in the sandbox.
"""

from __future__ import annotations

from pydantic_ai.exceptions import ModelRetry, ToolFailed
from pydantic_ai.tools import RunContext, ToolDefinition
from pydantic_ai.toolsets import FunctionToolset
from pydantic_ai.workspaces import WorkspaceError, WorkspaceTimeoutError, WorkspaceUnavailableError

from orchestrator.agent.deps import TurnDeps
from orchestrator.agent.parts import bounded
from orchestrator.domain.limits import COMMAND_TIMEOUT_S, MAX_COMMAND_TIMEOUT_S


async def shell(
    ctx: RunContext[TurnDeps],
    command: str,
    timeout_s: float | None = None,
    name: str = "main",
    reset: bool = False,
) -> str:
    """Run a command in a shell that stays: directory, variables and functions are kept.

    Use it for steps that build on one another (cd, an activated environment, exports); use
    run_command for anything else. A timeout ends the shell with the command.

    Args:
        ctx: The current run.
        command: The command line, or several lines.
        timeout_s: Seconds; 120 when left out.
        name: Which shell; another name is another shell, at most eight.
        reset: Start a fresh shell first.
    """
    workspace = ctx.deps.workspace
    seconds = min(max(timeout_s or COMMAND_TIMEOUT_S, 0.1), MAX_COMMAND_TIMEOUT_S)
    try:
        result, directory = await workspace.run_in_shell(command, name, seconds, reset=reset)
    except WorkspaceTimeoutError as error:
        said = _outputs(error.stdout, error.stderr)
        ending = f"[Command timed out after {seconds:g}s; the shell was reset]"
        raise ToolFailed("\n".join([*said, ending])) from None
    except WorkspaceUnavailableError:
        raise
    except (WorkspaceError, OSError) as error:
        raise ToolFailed(str(error)) from None
    except ValueError as error:
        raise ModelRetry(str(error)) from None
    parts = _outputs(result.stdout, result.stderr) or ["(no output)"]
    if result.exit_code:
        parts.append(f"[exit code: {result.exit_code}]")
    if directory is None:
        parts.append("[the shell ended; the next command starts a fresh one]")
    elif directory != await workspace.working_dir():
        parts.append(f"[directory: {directory}]")
    return "\n".join(parts)


def _outputs(stdout: str, stderr: str) -> list[str]:
    named = {"stdout": stdout, "stderr": stderr}
    return [f"[{name}]\n{bounded(text)}" for name, text in named.items() if text]


async def _where_shells_stay(
    ctx: RunContext[TurnDeps], definition: ToolDefinition
) -> ToolDefinition | None:
    return definition if ctx.deps.workspace.keeps_shells else None


def shell_toolset() -> FunctionToolset[TurnDeps]:
    """Return the toolset with the one tool `shell`."""
    toolset: FunctionToolset[TurnDeps] = FunctionToolset(id="shell")
    toolset.add_function(shell, name="shell", takes_ctx=True, prepare=_where_shells_stay)
    return toolset
