"""`jido trust`: show a project's settings file and tools and accept exactly their content."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from orchestrator.cli.project_content import ProjectContent
    from orchestrator.services.trust import Trusted


def trust(
    path: Annotated[
        Path | None, typer.Argument(help="Project; the current directory by default.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask on a terminal.")] = False,
) -> int:
    """Show a project's settings file and its own tools and accept them.

    Only an accepted content may change sandboxes or approvals, or become a tool of the
    agent; any later change of a file needs to be accepted again. On a terminal it asks first.
    """
    import sys

    from orchestrator.cli.directory import check_project, project_path
    from orchestrator.cli.project_content import read_content
    from orchestrator.cli.trusted import accept, trusted_before
    from orchestrator.settings import load_settings

    settings = load_settings()
    project = project_path(path)
    check_project(settings, project, elsewhere=False)
    content = read_content(project)
    _show(content, trusted_before(settings, project))
    if sys.stdin.isatty() and not yes:
        sys.stdout.flush()
        print("Trust exactly this content? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
            print("Not trusted.", file=sys.stderr)
            return 1
    accepted = accept(settings, project, content)
    print(f"Trusted: {project} ({_summary(accepted)}).", file=sys.stderr)
    return 0


def _show(content: ProjectContent, before: Trusted) -> None:
    from orchestrator.domain.project_tools import file_of
    from orchestrator.services.trust import digest_of

    if content.settings is not None:
        print(_printable(content.settings))
    for name, text in content.tools.items():
        known = before.tools.get(name)
        state = "new" if known is None else "changed"
        state = "trusted already" if known == digest_of(text) else state
        # The margin keeps a file's text from looking like the heading of another.
        lines = _printable(text).splitlines()
        print("\n".join([f"{file_of(name)} ({state})", *(f"  | {line}" for line in lines)]))


def _printable(content: bytes) -> str:
    text = content.decode(errors="replace")
    return "".join(
        c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text
    )


def _summary(accepted: Trusted) -> str:
    parts = []
    if accepted.settings is not None:
        parts.append(f"sha256 {accepted.settings[:16]}…")
    if accepted.tools:
        parts.append(f"tools: {', '.join(accepted.tools)}")
    return "; ".join(parts)
