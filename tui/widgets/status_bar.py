"""The last row: hints at the left, how things stand at the right.

Owns dropping hints from the end when the terminal is narrow.
"""

from __future__ import annotations

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from tui.render.palette import Palette
from tui.state.hints import Hint


class StatusBar(Widget):
    """One row."""

    def __init__(self, palette: Palette) -> None:
        """Start with nothing to say."""
        super().__init__(id="status")
        self.palette = palette
        self._content: tuple[tuple[Hint, ...], str, str, str] = ((), "", "dim", "")

    def show(self, hints: list[Hint], standing: str, tone: str) -> None:
        """Say something else, if it is something else."""
        content = (tuple(hints[:5]), standing, tone, self.palette.name)
        if content != self._content:
            self._content = content
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return the row."""
        hints, standing, tone, _ = self._content
        palette, width = self.palette, self.size.width
        base = Style(color=palette.dim, bgcolor=palette.background)
        room = width - 2
        right = standing if cell_len(standing) <= max(room * 2 // 3, 12) else ""
        left = _fitting(list(hints), room - (cell_len(right) + 2 if right else 0))
        if not left and hints and tone == "dim":
            right, left = "", _fitting(list(hints), room)
        segments = [Segment("  ", base)]
        for key, words in left:
            segments.append(Segment(key, base + Style(color=palette.text)))
            segments.append(Segment(f" {words}  ", base))
        strip = Strip(segments)
        if right:
            gap = max(0, width - strip.cell_length - cell_len(right) - 1)
            shade = base + Style(color=getattr(palette, tone))
            strip = Strip([*segments, Segment(" " * gap, base), Segment(right, shade)])
        return strip.adjust_cell_length(width, base)


def _fitting(hints: list[Hint], room: int) -> list[Hint]:
    while hints and sum(cell_len(k) + cell_len(w) + 3 for k, w in hints) > room + 2:
        hints.pop()
    return hints
