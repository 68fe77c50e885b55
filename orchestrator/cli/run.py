"""`jido run`: one headless session, one turn, one answer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Approve = Literal["ask", "edits", "all"]


def run(
    source: Annotated[
        str | None, typer.Argument(metavar="[-]", help="`-` reads the prompt from standard input.")
    ] = None,
    project: Annotated[
        Path | None, typer.Option(help="Directory to work in; the current one by default.")
    ] = None,
    prompt: Annotated[str | None, typer.Option(help="What should be done.")] = None,
    prompt_file: Annotated[Path | None, typer.Option(help="File that holds the prompt.")] = None,
    model: Annotated[
        str | None, typer.Option(metavar="P:M", help="provider:model, for example offline:demo.")
    ] = None,
    json_lines: Annotated[
        bool, typer.Option("--json", help="One event a line, the last of type result.")
    ] = False,
    timeout: Annotated[
        float | None, typer.Option(metavar="S", help="Seconds the turn may take; exit code 5.")
    ] = None,
    max_turns: Annotated[
        int | None, typer.Option(metavar="N", help="Requests to the model; exit code 4.")
    ] = None,
    max_cost: Annotated[
        float | None, typer.Option(metavar="USD", help="Money the turn may cost; exit code 4.")
    ] = None,
    approve: Annotated[
        Approve | None,
        typer.Option(help="What the agent may do unasked; exit code 3 when it must ask."),
    ] = None,
    result: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the result as JSON to FILE too.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the session open.")] = False,
) -> int:
    """Run one turn in a sandbox and print the answer.

    Exit codes: 0 done, 1 the turn failed, 2 usage, 3 needs an approval nobody can give,
    4 budget reached, 5 timeout, 6 no server, engine or image (or the session cannot be
    opened), 130 cancelled.
    """
    from orchestrator.cli.directory import project_path
    from orchestrator.cli.headless import RunOptions, run_headless
    from orchestrator.cli.prompt import read_prompt

    return run_headless(
        RunOptions(
            project=project_path(project),
            prompt=read_prompt(prompt, prompt_file, source),
            model=model,
            json_lines=json_lines,
            timeout_s=timeout,
            max_model_requests=max_turns,
            max_cost_usd=max_cost,
            approve=approve,
            result=result,
            keep=keep,
        )
    )
