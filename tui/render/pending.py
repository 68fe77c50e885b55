"""What waits, as rows.

Owns the look of an ask: the exact command or change, the reason, and each answer's letter.
"""

from __future__ import annotations

import difflib

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from tui.render.palette import Palette
from tui.render.patch import patch_rows
from tui.render.rows import Row, styled
from tui.state.ages import age
from tui.state.items import Patch
from tui.state.sanitise import one_line, sanitise
from tui.state.session import Ask, SessionState
from tui.state.tool_words import full_target, target, verb
from tui.state.workspace import Workspace

ASK_LINES = 10
"""Lines shown of what an ask would do."""


def pending_rows(
    workspace: Workspace, palette: Palette, width: int, limit: int, now: float
) -> list[Strip]:
    """Return at most `limit` rows; none when nothing waits."""
    rows: list[tuple[Row, str]] = []
    session = workspace.active
    if workspace.question is not None:
        rows += _question(workspace.question.text, palette)
    elif session is not None and session.asks:
        rows += _ask(session, palette, width - 3)
    if session is None:
        rows += [
            (_queued(w.text, "waits for the session", palette), palette.faint)
            for w in workspace.early
        ]
    else:
        rows += _queue(session, palette)
        rows += _task(session, palette)
    if workspace.offered is not None:
        rows.append((_offer(workspace, palette, now), palette.question))
    if rows and rows[0][1] == palette.warn and limit > 8:
        rows.insert(0, ([], palette.background))
    if len(rows) > limit:
        rows = [*rows[: limit - 2], *rows[-2:]] if limit > 2 else rows[:limit]
    return [_strip(row, bar, palette, width) for row, bar in rows]


def _strip(row: Row, bar: str, palette: Palette, width: int) -> Strip:
    base = Style(color=palette.text, bgcolor=palette.background)
    segments = [Segment("▌ ", base + Style(color=bar))]
    segments += [Segment(s.text, base + s.style if s.style else base) for s in row]
    return Strip(segments).adjust_cell_length(width, base)


def _question(text: str, palette: Palette) -> list[tuple[Row, str]]:
    keys = _keys(palette, ("y", "yes"), ("n", "no"))
    return [(styled((text, Style(bold=True))), palette.warn), (keys, palette.warn)]


def _ask(session: SessionState, palette: Palette, width: int) -> list[tuple[Row, str]]:
    ask = session.asks[0]
    more = f"  ({len(session.asks)} waiting)" if len(session.asks) > 1 else ""
    head = styled(
        ("Allow ", Style(bold=True)),
        (verb(ask.tool, done=False).lower() + " ", Style(bold=True)),
        (target(ask.tool, ask.arguments), Style(color=palette.warn)),
        (more, Style(color=palette.dim)),
    )
    rows = [head, *_subject(ask, palette, width)]
    if ask.reason:
        rows.append(styled((ask.reason, Style(color=palette.dim))))
    if ask.error:
        rows.append(styled((ask.error, Style(color=palette.bad))))
    rows.append(
        styled(("sending the answer…", Style(color=palette.dim)))
        if ask.answering
        else _keys(
            palette,
            ("y", "once"),
            ("a", "always in this session"),
            ("n", "refuse"),
        )
    )
    return [(row, palette.warn) for row in rows]


def _subject(ask: Ask, palette: Palette, width: int) -> list[Row]:
    """Return what would be done, as it is: the whole command, or the change."""
    whole = sanitise(full_target(ask.tool, ask.arguments))
    if "\n" in whole or len(whole) > 60:
        lines = [
            line[i : i + width]
            for line in whole.split("\n")
            for i in range(0, len(line) or 1, width)
        ]
        rows = [styled((line, Style(color=palette.text))) for line in lines[:ASK_LINES]]
        left = len(lines) - ASK_LINES
        return rows + (
            [styled((f"… {left} more lines", Style(color=palette.warn)))] if left > 0 else []
        )
    old, new = ask.arguments.get("old_string"), ask.arguments.get("new_string")
    old = old if isinstance(old, str) else ask.arguments.get("old_text")
    new = (
        new if isinstance(new, str) else ask.arguments.get("new_text", ask.arguments.get("content"))
    )
    if not isinstance(new, str):
        return []
    before = sanitise(old).splitlines() if isinstance(old, str) else []
    lines = list(difflib.unified_diff(before, sanitise(new).splitlines(), n=2, lineterm=""))[2:]
    rows = patch_rows(Patch(text="\n".join(lines[:ASK_LINES])), palette, width)
    left = len(lines) - ASK_LINES
    return rows + (
        [styled((f"… {left} more lines", Style(color=palette.warn)))] if left > 0 else []
    )


def _queue(session: SessionState, palette: Palette) -> list[tuple[Row, str]]:
    ready = session.status == "ready"
    why = "sending" if ready else "waits for the sandbox"
    if session.link == "waiting":
        why = "waits for the server"
    rows = [(_queued(q.text, "queued", palette), palette.faint) for q in session.queue[:5]]
    return rows + [(_queued(w.text, why, palette), palette.faint) for w in session.outbox[:5]]


def _queued(text: str, why: str, palette: Palette) -> Row:
    return styled(
        (f"{why}  ", Style(color=palette.accent)), (one_line(text), Style(color=palette.dim))
    )


def _task(session: SessionState, palette: Palette) -> list[tuple[Row, str]]:
    tasks = [task for task in session.tasks if task.status != "cancelled"]
    done = sum(task.status == "completed" for task in tasks)
    if not tasks or done == len(tasks) or not session.busy:
        return []
    under_way = next((t for t in tasks if t.status == "in_progress"), None)
    under_way = under_way or next((t for t in tasks if t.status == "pending"), tasks[0])
    row = styled(
        (f"{done}/{len(tasks)}  ", Style(color=palette.accent)),
        (under_way.content, Style(color=palette.dim)),
    )
    return [(row, palette.accent)]


def _offer(workspace: Workspace, palette: Palette, now: float) -> Row:
    offer = workspace.offered
    if offer is None:
        return []
    when = age(now - offer.updated, offer.updated)
    turns = f"{offer.turns} turn" + ("" if offer.turns == 1 else "s")
    return styled(
        ("Go on with ", Style(color=palette.dim)),
        (f"“{offer.name}”", Style(color=palette.text)),
        (f", {turns}, {when}?  ", Style(color=palette.dim)),
        ("f2", Style(color=palette.text, bold=True)),
        (" resume   ", Style(color=palette.dim)),
        ("/resume", Style(color=palette.text, bold=True)),
        (" all", Style(color=palette.dim)),
    )


def _keys(palette: Palette, *pairs: tuple[str, str]) -> Row:
    row: Row = []
    for key, words in pairs:
        row += styled((key, Style(bold=True)), (f" {words}   ", Style(color=palette.dim)))
    return row
