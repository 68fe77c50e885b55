"""What an empty transcript shows.

Owns the first words to a newcomer: where one is, what answers, what to try.
"""

from __future__ import annotations

from rich.style import Style

from tui.render.markdown import Row
from tui.render.palette import Palette
from tui.render.prose import styled
from tui.state.session import SessionState
from tui.state.workspace import Workspace

OFFLINE = (
    "No model is configured: the built-in offline model answers. It runs the tools you name;",
    "type help to see its words. Set ANTHROPIC_API_KEY, OPENAI_API_KEY or GEMINI_API_KEY for more.",
)


def welcome_rows(workspace: Workspace, session: SessionState | None, palette: Palette) -> list[Row]:
    """Return the lines of the empty state, most important first."""
    if session is None:
        return _without_session(workspace, palette)
    bold, dim = Style(color=palette.text, bold=True), Style(color=palette.dim)
    rows = [styled((session.name, bold))]
    rows.append(styled((workspace.short_path(session.project_path), dim)))
    rows.append(_state(session, palette))
    rows.append([])
    if session.offline:
        rows += [styled((line, Style(color=palette.warn))) for line in OFFLINE]
        rows += [[], _try("help", "what the offline model understands", palette)]
        rows += [_try("run ls -la", "a command in the sandbox", palette)]
    else:
        rows += [_try("explain how this project is built", "ask for anything", palette)]
    rows += [
        _try("@", "name a file", palette),
        _try("!git status", "run a command yourself", palette),
        _try("/", "commands", palette),
    ]
    return rows


def _state(session: SessionState, palette: Palette) -> Row:
    if session.status == "failed":
        words = session.error or "The sandbox could not be started. Try /session restart."
        return styled((words, Style(color=palette.bad)))
    if session.status != "ready":
        return styled(
            ("The sandbox is starting; you can type already.", Style(color=palette.accent))
        )
    words = f"Sandbox ready ({session.runtime}); only this directory is writable."
    return styled((words, Style(color=palette.dim)))


def _without_session(workspace: Workspace, palette: Palette) -> list[Row]:
    dim = Style(color=palette.dim)
    if workspace.fault:
        return [styled((workspace.fault, Style(color=palette.bad)))]
    if workspace.server != "ready":
        return [styled(("Connecting…", dim)), [], styled(("You can type already.", dim))]
    return [
        styled(("No session is open.", Style(color=palette.text, bold=True))),
        [],
        _try("ctrl+n", "open this directory", palette),
        _try("/session new PATH", "open another one", palette),
        _try("/resume", "go on with a saved session", palette),
    ]


def _try(what: str, why: str, palette: Palette) -> Row:
    return styled(
        (f"{what:<36}"[: max(36, len(what))], Style(color=palette.accent)),
        (f" {why}", Style(color=palette.dim)),
    )
