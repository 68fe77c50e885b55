"""The agent's tools for commands in the background: start, look, write, stop.

Owns the wording of the tools and of their answers, and what of a job's output is new in a turn.
Refuses to run anything here: a job lives in the sandbox and belongs to the session, so that it
outlives the turn that started it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pydantic_ai.exceptions import ModelRetry, ToolFailed
from pydantic_ai.tools import RunContext, ToolDefinition
from pydantic_ai.toolsets import FunctionToolset
from pydantic_ai.workspaces import CommandResult, WorkspaceError, WorkspaceUnavailableError

from orchestrator.agent.deps import TurnDeps
from orchestrator.agent.hints import with_hint
from orchestrator.agent.jobs import Jobs, Look
from orchestrator.agent.parts import bounded
from orchestrator.domain.jobs import Job, Limit, is_job_name
from orchestrator.domain.limits import MAX_COMMAND_TIMEOUT_S, TOOL_TIMEOUT_S

MAX_OUTPUT_CHARACTERS: Final = 16_000
"""Characters of a job's output in one answer; of more, head and tail."""

REACTION_S: Final = 1.0
"""Seconds for which a command that was started or written to is listened to."""

_COMMAND_CHARACTERS: Final = 120
_LIMITS: Final[dict[Limit, str]] = {
    "memory_limit": "the sandbox's limit of memory",
    "disk_limit": "the sandbox's limit of disk",
}


async def start_command(ctx: RunContext[TurnDeps], command: str) -> str:
    """Start a long-running command in the background (a server, a watcher).

    Returns its ID and first output. It goes on after your turn, until it exits or stop_command.

    Args:
        ctx: The current run.
        command: The shell command; it has pipes, no terminal.
    """
    with _told():
        job = await _jobs(ctx).start(command)
    return f"Started {job.name}.\n{await _seen(ctx, _look(ctx, job.name), REACTION_S)}"


async def check_command(
    ctx: RunContext[TurnDeps], command_id: str = "", wait_s: float = 0, until: str = ""
) -> str:
    """Check a background command: whether it runs, its exit code, its output since the last check.

    Args:
        ctx: The current run.
        command_id: From start_command; all commands are listed when left out.
        wait_s: Seconds to wait for new output or the exit; 30 when only `until` is given.
        until: Text to wait for instead of any output.
    """
    if command_id:
        wished = wait_s or (TOOL_TIMEOUT_S if until else 0.0)
        # In this order a number that is none becomes 0.
        seconds = max(0.0, min(wished, MAX_COMMAND_TIMEOUT_S))
        return await _seen(ctx, _look(ctx, command_id), seconds, until)
    with _told():
        listed = await _jobs(ctx).listing()
    return "\n".join(map(_line, listed)) or "No background command was started."


async def send_input(
    ctx: RunContext[TurnDeps], command_id: str, text: str, close: bool = False
) -> str:
    r"""Write to a background command's standard input; returns what it answers.

    Args:
        ctx: The current run.
        command_id: From start_command.
        text: Sent as it is: end a line with \n.
        close: Close the input afterwards.
    """
    look = _look(ctx, command_id)
    with _told(command_id):
        # What it said before is no answer to this.
        await look.follow(0)
        await _jobs(ctx).send(command_id, text.encode("utf-8", "replace"), close=close)
    return await _seen(ctx, look, REACTION_S)


async def stop_command(ctx: RunContext[TurnDeps], command_id: str) -> str:
    """Stop a background command and everything it started; returns its last output.

    Args:
        ctx: The current run.
        command_id: From start_command.
    """
    with _told(command_id):
        await _jobs(ctx).kill(command_id)
    return await _seen(ctx, _look(ctx, command_id), 0)


@contextmanager
def _told(command_id: str | None = None) -> Iterator[None]:
    """Turn a workspace's errors into what a model is told; a lost sandbox ends the turn.

    `command_id` is None where no job is named yet.
    """
    unknown = "There is no such command. check_command without command_id lists all."
    if command_id is not None and not is_job_name(command_id):
        raise ToolFailed(unknown)
    try:
        yield
    except WorkspaceUnavailableError:
        raise
    except ValueError as error:
        raise ModelRetry(str(error)) from None
    except (WorkspaceError, OSError) as error:
        if isinstance(error, FileNotFoundError) and command_id is not None:
            raise ToolFailed(unknown) from None
        raise ToolFailed(getattr(error, "strerror", None) or str(error)) from None


def _jobs(ctx: RunContext[TurnDeps]) -> Jobs:
    jobs = ctx.deps.workspace.jobs
    assert jobs is not None
    return jobs


def _look(ctx: RunContext[TurnDeps], command_id: str) -> Look:
    cursor, show = ctx.deps.job_cursors.get(command_id, 0), ctx.deps.workspace.show
    return Look(_jobs(ctx), command_id, cursor, lambda data: show("stdout", data))


async def _seen(ctx: RunContext[TurnDeps], look: Look, wait_s: float, until: str = "") -> str:
    """Follow a job, and return what is new of it in this turn and how it is."""
    cursors = ctx.deps.job_cursors
    with _told(look.name):
        job = await look.follow(wait_s, until)
    again = look.name in cursors
    cursors[look.name] = max(look.cursor, cursors.get(look.name, 0))
    parts = []
    if look.lost:
        parts.append(f"[… {look.lost:,} bytes of earlier output are no longer kept …]")
    text = look.data.decode("utf-8", "replace")
    if text:
        shown = bounded(_with_hint(text, job).rstrip("\n"), MAX_OUTPUT_CHARACTERS)
        parts.append(f"[{'new output' if again else 'output so far'}]\n{shown}")
    elif not look.lost:
        parts.append("(nothing new)" if again else "(no output)")
    missed = bool(until) and job.running and until not in text
    parts.append(_state(job, wait_s if missed else None))
    return "\n".join(parts)


def _with_hint(text: str, job: Job) -> str:
    return with_hint(CommandResult(exit_code=job.exit_code or 0, stdout="", stderr=text)).stderr


def _state(job: Job, missed_s: float | None = None) -> str:
    """Return the last lines of an answer, which no output can follow and so none can feign."""
    if job.running:
        missed = "" if missed_s is None else f"; the text did not appear within {missed_s:g} s"
        return f"[{job.name} is running{missed}]"
    by = "" if job.stopped is None else f", ended by {_LIMITS[job.stopped]}"
    return f"[{job.name} has exited{by}]\n[exit code: {job.exit_code}]"


def _line(job: Job) -> str:
    """Return a job as one line, whatever its command holds."""
    words = " ".join(job.command[: 2 * _COMMAND_CHARACTERS].split())[:_COMMAND_CHARACTERS]
    command = "".join(each if each.isprintable() else "?" for each in words)
    state = "running" if job.running else f"exit code {job.exit_code}"
    return f"{job.name} ({state}): {command}"


async def _where_jobs_stay(
    ctx: RunContext[TurnDeps], definition: ToolDefinition
) -> ToolDefinition | None:
    return definition if ctx.deps.workspace.jobs is not None else None


def job_toolset() -> FunctionToolset[TurnDeps]:
    """Return the toolset with the tools for commands in the background."""
    toolset: FunctionToolset[TurnDeps] = FunctionToolset(id="jobs")
    for tool in (start_command, check_command, send_input, stop_command):
        toolset.add_function(tool, takes_ctx=True, prepare=_where_jobs_stay)
    return toolset
