"""Each kind of item as rows.

Owns the look of a transcript: a coloured bar of one column says what kind of thing stands
there, finished work takes one line, failures stay open.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from tui.render.palette import Palette
from tui.render.patch import patch_rows
from tui.render.prose import ProseRows, plain_rows
from tui.render.rows import Row, row_text, styled
from tui.render.tools import ToolPainter
from tui.state.items import (
    Item,
    Note,
    Notice,
    Patch,
    Prose,
    ShellRun,
    ToolCall,
    TurnEnd,
    UserText,
)
from tui.state.tool_words import count, duration, money

BAR: Final = "▌"
THIN: Final = "▏"
INDENT: Final = 2
"""Columns of the bar and the space behind it."""
MAX_PROSE_WIDTH: Final = 110
"""Columns beyond which lines of prose are no longer easy to read."""

Painted = tuple[list[Row], str, str]
"""Rows, colour of the bar (empty for none), background."""


@dataclass(slots=True, eq=False)
class _Growing:
    """A message under way: what its rows are made from, and those drawn last."""

    item: Prose
    source: ProseRows
    before: list[Row] = field(default_factory=list)
    strips: list[Strip] = field(default_factory=list)

    def drawn(self, rows: list[Row]) -> list[Strip]:
        """Return the strips of the leading rows that are the very same as last time."""
        same = 0
        for old, new in zip(self.before, rows, strict=False):
            if old is not new:
                break
            same += 1
        return self.strips[:same]


class Painter:
    """Draws items at one width in one palette; keeps what growing messages have drawn."""

    def __init__(self, palette: Palette, width: int, now: Callable[[], float]) -> None:
        """Draw rows of exactly `width` cells; `now` gives seconds since 1970."""
        from tui.render.markdown import Printer  # a tenth of a second, not before the first frame

        self.palette = palette
        self.width = max(4, width)
        self._printer = Printer(palette)
        self._tools = ToolPainter(palette, self._printer, now)
        self._growing: dict[int, _Growing] = {}
        self._kinds: dict[type, Callable[[Any], Painted]] = {
            UserText: self._user,
            Prose: self._prose,
            ToolCall: self._tool,
            ShellRun: self._run,
            Notice: self._notice,
            Note: self._note,
            Patch: self._patch,
            TurnEnd: self._end,
        }

    @property
    def _inner(self) -> int:
        return max(1, min(self.width - INDENT - 1, MAX_PROSE_WIDTH))

    def paint(self, item: Item, *, selected: bool = False) -> list[Strip]:
        """Return the rows of an item, each exactly as wide as the view."""
        rows, bar, background = self._kinds[type(item)](item)
        if selected:
            background = self.palette.raised
        base = Style(color=self.palette.text, bgcolor=background)
        mark = self._bar(item, bar, base)
        growing = self._growing.get(id(item)) if not selected else None
        if growing is None:
            return [self._strip(row, mark, base) for row in rows]
        strips = growing.drawn(rows)
        strips += [self._strip(row, mark, base) for row in rows[len(strips) :]]
        growing.before, growing.strips = rows, strips
        return list(strips)

    def blank(self) -> Strip:
        """Return an empty row."""
        style = Style(color=self.palette.text, bgcolor=self.palette.background)
        return Strip([Segment(" " * self.width, style)], self.width)

    def _bar(self, item: Item, color: str, base: Style) -> Segment:
        if not color:
            return Segment("  ", base)
        thin = isinstance(item, Prose | ToolCall | ShellRun | TurnEnd)
        return Segment(f"{THIN if thin else BAR} ", base + Style(color=color))

    def _strip(self, row: Row, mark: Segment, base: Style) -> Strip:
        segments = [mark]
        segments += [Segment(s.text, base + s.style if s.style else base) for s in row]
        return Strip(segments).adjust_cell_length(self.width, base)

    def _user(self, item: UserText) -> Painted:
        palette = self.palette
        rows = plain_rows(self._printer, item.text, self._inner, palette.text, italic=False)
        return rows, palette.accent, palette.raised

    def _prose(self, item: Prose) -> Painted:
        palette = self.palette
        if item.reasoning:
            return self._reasoning(item), palette.faint, palette.background
        growing = self._growing.setdefault(
            id(item), _Growing(item, ProseRows(self._printer, self._inner))
        )
        rows = growing.source.rows(item)
        if item.closed:
            self._growing.pop(id(item), None)
        if item.interrupted:
            rows.append(styled(("interrupted", Style(color=palette.warn))))
        return rows, "", palette.background

    def _reasoning(self, item: Prose) -> list[Row]:
        palette = self.palette
        text = item.text.strip()
        rows = plain_rows(self._printer, text, self._inner, palette.dim, italic=True)
        folded = item.closed if item.open is None else not item.open
        if not folded or len(rows) <= 2:
            return rows
        first = set_cell_size(row_text(rows[0]), max(1, self._inner - 14)).rstrip()
        more = f" … +{len(rows) - 1} lines"
        return [styled((first, Style(color=palette.dim, italic=True)), (more, self._faint))]

    def _tool(self, item: ToolCall) -> Painted:
        rows, color = self._tools.call(item, self._inner)
        return rows, color, self.palette.background

    def _run(self, item: ShellRun) -> Painted:
        rows, color = self._tools.run(item, self._inner)
        return rows, color, self.palette.background

    def _notice(self, item: Notice) -> Painted:
        palette = self.palette
        color = {"info": palette.faint, "success": palette.good, "warning": palette.warn}.get(
            item.level, palette.bad
        )
        words = palette.dim if item.level == "info" else palette.text
        rows = plain_rows(self._printer, item.text, self._inner, words, italic=False)
        return rows, color, palette.background

    def _note(self, item: Note) -> Painted:
        rows = self._printer.markdown(item.text, self._inner)
        return rows, self.palette.question, self.palette.background

    def _patch(self, item: Patch) -> Painted:
        rows = patch_rows(item, self.palette, max(1, self.width - INDENT - 1))
        return rows, self.palette.question, self.palette.background

    def _end(self, item: TurnEnd) -> Painted:
        palette = self.palette
        words = {"completed": "done", "interrupted": "interrupted"}.get(item.status, item.status)
        facts = [
            words,
            item.model,
            "" if item.seconds is None else duration(item.seconds * 1000),
            f"{count(item.input_tokens)} in, {count(item.output_tokens)} out"
            if item.input_tokens or item.output_tokens
            else "",
            money(item.cost_usd) if item.cost_usd else "",
        ]
        line = " · ".join(fact for fact in facts if fact)
        if item.status == "completed":
            return [styled((fits(line, self._inner), self._faint))], "", palette.background
        color = palette.bad if item.status == "failed" else palette.warn
        rows = plain_rows(self._printer, line, self._inner, color, italic=False)
        if item.error:
            rows += plain_rows(self._printer, item.error, self._inner, palette.text, italic=False)
        return rows, color, palette.background

    @property
    def _faint(self) -> Style:
        return Style(color=self.palette.faint)


def estimate(item: Item, width: int) -> int:
    """Return roughly how many rows an item takes, from the length of its text."""
    inner = max(1, min(width - INDENT - 1, MAX_PROSE_WIDTH))
    if isinstance(item, Prose):
        return sum(_wrapped(piece, inner) for piece in item.pieces[:1]) or 1
    if isinstance(item, UserText | Notice | Note | Patch):
        return _wrapped(item.text, inner)
    return 1


def _wrapped(text: str, width: int) -> int:
    return max(1, text.count("\n") + len(text) // width + 1)


def fits(text: str, width: int) -> str:
    """Return `text` cut to `width` cells, the cut marked."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, max(0, width - 1)).rstrip() + "…"
