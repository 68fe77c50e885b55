"""`jido exec`: a command in a sandbox, as if it had been run here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def execute(
    command: Annotated[list[str], typer.Argument(metavar="-- CMD…", help="What to run.")],
    project: Annotated[
        Path | None, typer.Option(help="Directory to work in; the current one by default.")
    ] = None,
    session: Annotated[
        str | None, typer.Option(metavar="S", help="A live session: id, name or number.")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(metavar="S", help="Seconds; 120 by default, 3600 at most.")
    ] = None,
) -> int:
    """Run a command in a sandbox.

    Its standard output, standard error and exit code are the command's own; 124 is a
    timeout, 125 a failure of ours.
    """
    from orchestrator.cli.commands import run_command
    from orchestrator.cli.failures import CANCELLED, COMMAND_TIMEOUT, complain
    from orchestrator.cli.sandboxed import check_target, check_timeout, hand_on, in_session

    check_target(project, session)
    check_timeout(timeout)
    try:
        with in_session(project, session) as (api, session_id):
            end = run_command(api, session_id, command, timeout, hand_on)
    except KeyboardInterrupt:
        return CANCELLED
    if end.timed_out:
        complain(f"The command took longer than {timeout or 120:g} seconds.")
        return COMMAND_TIMEOUT
    return end.code
