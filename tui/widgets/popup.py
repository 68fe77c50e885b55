"""The list of completions above the prompt.

Owns which entry is chosen; what is offered is decided elsewhere.
"""

from __future__ import annotations

from rich.cells import set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from tui.commands.complete import Choice
from tui.render.palette import Palette

MAX_ROWS = 8
"""Entries shown at once."""


class Popup(Widget):
    """Rows of choices; hidden without any."""

    class Picked(Message):
        """An entry was clicked."""

    def __init__(self, palette: Palette) -> None:
        """Start hidden."""
        super().__init__(id="popup")
        self.palette = palette
        self._choices: list[Choice] = []
        self._chosen = 0
        self.display = False

    @property
    def chosen(self) -> Choice | None:
        """The entry that would be taken."""
        return self._choices[self._chosen] if self._choices else None

    def offer(self, choices: list[Choice]) -> None:
        """Show other choices, the first one chosen; none hides the list."""
        if choices != self._choices:
            self._choices, self._chosen = choices, 0
        self.display = bool(choices)
        self.styles.height = min(MAX_ROWS, max(1, len(choices)))
        self.refresh()

    def move(self, step: int) -> None:
        """Choose another entry, from the last to the first and back."""
        if self._choices:
            self._chosen = (self._chosen + step) % len(self._choices)
            self.refresh()

    def on_click(self, event: events.Click) -> None:
        """Take the entry clicked."""
        index = self._first() + event.y
        if index < len(self._choices):
            self._chosen = index
            self.post_message(self.Picked())

    def render_line(self, y: int) -> Strip:
        """Return one choice."""
        palette, width = self.palette, self.size.width
        index = self._first() + y
        base = Style(color=palette.dim, bgcolor=palette.raised)
        if index >= len(self._choices):
            return Strip.blank(width, base)
        choice, chosen = self._choices[index], index == self._chosen
        bar = base + Style(color=palette.accent if chosen else palette.raised)
        words = base + Style(color=palette.text, bold=chosen)
        room = max(4, width - 2)
        label = choice.label
        if choice.note and room > len(label) + 12:
            label = set_cell_size(label, max(14, len(label) + 2))
            segments = [Segment("▌ ", bar), Segment(label, words), Segment(choice.note, base)]
        else:
            segments = [Segment("▌ ", bar), Segment(label, words)]
        return Strip(segments).adjust_cell_length(width, base)

    def _first(self) -> int:
        return max(0, min(self._chosen - MAX_ROWS + 2, len(self._choices) - MAX_ROWS))
