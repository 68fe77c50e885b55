"""What an empty transcript shows.

Owns the first words to a newcomer: where one is, what answers, what to try.
"""

from __future__ import annotations

from textwrap import wrap
from typing import Final

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from tui.render.palette import Palette
from tui.render.rows import Row, styled
from tui.state.items import Notice
from tui.state.session import SessionState
from tui.state.transcript import Transcript
from tui.state.workspace import Workspace

OFFLINE: Final = (
    "No model is configured: the built-in offline model answers. It runs the tools you name; "
    "type help to see its words. Set ANTHROPIC_API_KEY, OPENAI_API_KEY or GEMINI_API_KEY for more."
)
KEY_CELLS: Final = 20
"""Columns of what to try, in front of why."""
MAX_WIDTH: Final = 90
"""Columns of the first words, on however wide a screen."""
MAX_NOTICES: Final = 3
"""Notices among the first words; with more the transcript begins."""


def greets(transcript: Transcript) -> bool:
    """Say whether the first words are shown: nothing was said yet, and little was told."""
    items = transcript.items
    return len(items) <= MAX_NOTICES and all(isinstance(item, Notice) for item in items)


def welcome_rows(
    workspace: Workspace, session: SessionState | None, palette: Palette, width: int
) -> list[Row]:
    """Return the lines of the empty state, most important first, each at most `width` wide."""
    if session is None:
        return _without_session(workspace, palette, width)
    bold, dim = Style(color=palette.text, bold=True), Style(color=palette.dim)
    rows = [styled((session.name, bold))]
    rows.append(styled((workspace.short_path(session.project_path), dim)))
    rows += _state(session, palette, width)
    rows += _notices(session.transcript, palette, width)
    rows.append([])
    if session.offline:
        rows += _wrapped(OFFLINE, palette.warn, width)
        rows += [[], _try("help", "what the offline model understands", palette)]
        rows += [_try("run ls -la", "a command in the sandbox", palette)]
    else:
        rows += [_try("explain this project", "ask for anything", palette)]
    rows += [
        _try("@", "name a file", palette),
        _try("!git status", "run a command yourself", palette),
        _try("/", "commands", palette),
    ]
    return rows


def welcome_screen(
    workspace: Workspace, session: SessionState | None, palette: Palette, width: int, height: int
) -> list[Strip]:
    """Return the rows of a screen that shows the empty state, from its top to the last words."""
    left = min(12, width // 10)
    room = min(width - left - 2, MAX_WIDTH)
    rows = welcome_rows(workspace, session, palette, room)[: max(1, height)]
    base = Style(color=palette.text, bgcolor=palette.background)
    strips = [Strip.blank(width, base)] * max(0, min((height - len(rows)) // 2, 6))
    for row in rows:
        segments = [Segment(s.text, base + (s.style or Style())) for s in row]
        strip = Strip([Segment(" " * max(2, left), base), *segments])
        strips.append(strip.adjust_cell_length(width, base))
    return strips


def _state(session: SessionState, palette: Palette, width: int) -> list[Row]:
    if session.status == "failed":
        words = session.error or "The sandbox could not be started. Try /session restart."
        return _wrapped(words, palette.bad, width)
    if session.status != "ready":
        return _wrapped("The sandbox is starting; you can type already.", palette.accent, width)
    words = f"Sandbox ready ({session.runtime}); only this directory is writable."
    return _wrapped(words, palette.dim, width)


def _notices(transcript: Transcript, palette: Palette, width: int) -> list[Row]:
    """Return what was told so far, each notice behind a blank line."""
    colors = {"error": palette.bad, "warning": palette.warn, "success": palette.good}
    rows: list[Row] = []
    for item in transcript.items:
        if isinstance(item, Notice):
            rows += [[], *_wrapped(item.text, colors.get(item.level, palette.dim), width)]
    return rows


def _wrapped(text: str, color: str, width: int) -> list[Row]:
    return [styled((line, Style(color=color))) for line in wrap(text, max(8, width))]


def _without_session(workspace: Workspace, palette: Palette, width: int) -> list[Row]:
    ready = workspace.server == "ready"
    rows: list[Row] = []
    if workspace.fault:
        rows += [*_wrapped(workspace.fault, palette.dim if ready else palette.bad, width), []]
    if not ready:
        words = "" if workspace.fault else "Connecting…  "
        return rows + _wrapped(f"{words}You can type already.", palette.dim, width)
    told = _notices(workspace.lobby, palette, width)
    return [
        *rows,
        *told[1:],
        *([[]] if told else []),
        styled(("No session is open.", Style(color=palette.text, bold=True))),
        [],
        _try("ctrl+n", "open this directory", palette),
        _try("/session new PATH", "open another one", palette),
        _try("/resume", "go on with a saved session", palette),
    ]


def _try(what: str, why: str, palette: Palette) -> Row:
    return styled(
        (what.ljust(KEY_CELLS), Style(color=palette.accent)), (f" {why}", Style(color=palette.dim))
    )
