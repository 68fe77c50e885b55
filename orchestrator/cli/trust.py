"""`jido trust`: show a project's settings file and accept exactly its content."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def trust(
    path: Annotated[
        Path | None, typer.Argument(help="Project; the current directory by default.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask on a terminal.")] = False,
) -> int:
    """Show a project's settings file and accept it.

    Only an accepted content may change sandboxes or approvals; any later change of the
    file needs to be accepted again. On a terminal it asks first.
    """
    import sys

    from orchestrator.cli.projects import check_project, project_path
    from orchestrator.cli.trusted import accept, read_project_file
    from orchestrator.settings import load_settings

    settings = load_settings()
    project = project_path(path)
    check_project(project, elsewhere=False)
    content = read_project_file(project)
    text = content.decode(errors="replace")
    print(
        "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)
    )
    if sys.stdin.isatty() and not yes:
        sys.stdout.flush()
        print("Trust exactly this content? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
            print("Not trusted.", file=sys.stderr)
            return 1
    digest = accept(settings, project, content)
    print(f"Trusted: {project} (sha256 {digest[:16]}…).", file=sys.stderr)
    return 0
