"""What is drawn over the rows of a transcript.

Owns the prompt that stays at the top, the count of rows at the bottom, and the look and the text
of what the mouse selected. Changes no row: each function returns another one.
"""

from __future__ import annotations

from typing import Final

from rich.segment import Segment
from rich.style import Style
from textual.selection import Selection
from textual.strip import Strip

from tui.render.layout import Layout
from tui.render.paint import INDENT, fits
from tui.render.palette import Palette
from tui.state.items import UserText

NEAR: Final = 200
"""Items above the top of the screen among which its prompt is looked for."""


def with_count(strip: Strip, below: int, palette: Palette, width: int) -> Strip:
    """Return the last row of the screen, saying how many rows are `below` it."""
    base = Style(color=palette.text, bgcolor=palette.background)
    words = f" ↓ {below} rows "
    left = max(0, width - len(words) - 2)
    pill = Segment(words, base + Style(color=palette.background, bgcolor=palette.accent))
    row = Strip([*strip.crop(0, left), pill, Segment("  ", base)])
    return row.adjust_cell_length(width, base)


def prompt_above(layout: Layout, top: int, palette: Palette, width: int) -> Strip | None:
    """Return the prompt whose answer is at row `top`; None when it is in sight itself."""
    if top == 0:
        return None
    index = layout.index_at(top)
    item = layout.entries[index].item
    if isinstance(item, UserText) or not item.turn_id:
        return None
    for entry in reversed(layout.entries[max(0, index - NEAR) : index]):
        if isinstance(entry.item, UserText):
            base = Style(color=palette.dim, bgcolor=palette.raised)
            line = fits(" ".join(entry.item.text[:400].split()), width - 4)
            bar = Segment("▌ ", base + Style(color=palette.accent))
            return Strip([bar, Segment(line, base)]).adjust_cell_length(width, base)
    return None


def marked(strip: Strip, row: int, selection: Selection | None, palette: Palette) -> Strip:
    """Return a row with what is selected of it set off; bars and padding never are."""
    span = selection.get_span(row) if selection is not None else None
    if span is None:
        return strip
    start, end = max(INDENT, span[0]), len(strip.text.rstrip()) if span[1] < 0 else span[1]
    left = strip.index_to_cell_position(start)
    right = strip.index_to_cell_position(min(end, len(strip.text)))
    if right <= left:
        return strip
    mark = Style(bgcolor=palette.faint)
    before, middle, after = strip.divide([left, right, strip.cell_length])
    middle = Strip([Segment(s.text, (s.style or Style()) + mark) for s in middle])
    return Strip.join([before, middle, after])


def selected_text(layout: Layout, selection: Selection) -> str:
    """Return the text of a selection, without bars and padding."""
    start = selection.start.y if selection.start else 0
    end = selection.end.y if selection.end else layout.total - 1
    lines = []
    for y in range(start, min(end, layout.total - 1) + 1):
        text, span = layout.row(y).text, selection.get_span(y)
        left, right = span or (0, -1)
        lines.append(text[max(INDENT, left) : None if right < 0 else right].rstrip())
    return "\n".join(lines)
