"""The row of tabs.

Owns their drawing and clicks.
"""

from __future__ import annotations

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from tui.render.palette import Palette
from tui.state.tabs import Tab, tabs
from tui.state.workspace import Workspace


class TabBar(Widget):
    """One row: mark, digit and name of each session."""

    class Chosen(Message):
        """A tab was clicked."""

        def __init__(self, session_id: str) -> None:
            """Name the session of the tab."""
            super().__init__()
            self.session_id = session_id

    def __init__(self, workspace: Workspace, palette: Palette) -> None:
        """Draw the tabs of `workspace`."""
        super().__init__(id="tabs")
        self._workspace = workspace
        self.palette = palette
        self._shown: list[Tab] = []
        self._drawn: tuple[object, ...] = ()

    def sync(self) -> None:
        """Draw again if a label, a mark or the width changed."""
        self._shown = tabs(self._workspace, max(1, self.size.width - 1))
        drawn = (tuple(self._shown), self.palette.name, self.size.width, self._place())
        if drawn != self._drawn:
            self._drawn = drawn
            self.refresh()

    def on_resize(self) -> None:
        """Fit the labels to the new width."""
        self.sync()

    def render_line(self, y: int) -> Strip:
        """Return the row."""
        palette = self.palette
        base = Style(color=palette.dim, bgcolor=palette.background)
        segments = [Segment(" ", base)]
        for tab in self._shown:
            segments += self._tab(tab, base)
        if not self._shown:
            segments.append(Segment("jido", base + Style(color=palette.accent, bold=True)))
        strip = Strip(segments)
        place = self._place()
        room = self.size.width - strip.cell_length - 2
        if place and len(place) <= room:
            gap = self.size.width - strip.cell_length - len(place) - 1
            faint = base + Style(color=palette.faint)
            strip = Strip([*segments, Segment(" " * gap, base), Segment(place, faint)])
        return strip.adjust_cell_length(self.size.width, base)

    def on_click(self, event: events.Click) -> None:
        """Say which tab was clicked."""
        left = 1
        for tab in self._shown:
            if left <= event.x < left + tab.cells:
                self.post_message(self.Chosen(tab.session_id))
                return
            left += tab.cells

    def _tab(self, tab: Tab, base: Style) -> list[Segment]:
        palette = self.palette
        if tab.active:
            base = Style(color=palette.text, bgcolor=palette.raised, bold=True)
        mark = base + Style(color=getattr(palette, tab.tone), bold=tab.tone == "warn")
        segments = [Segment(" ", base), Segment(tab.mark, mark), Segment(f" {tab.label} ", base)]
        if tab.unread:
            segments[-1] = Segment(f" {tab.label} ", base + Style(color=palette.text))
            segments.append(Segment("• ", base + Style(color=palette.accent)))
        return segments

    def _place(self) -> str:
        session = self._workspace.active
        return self._workspace.short_path(session.project_path) if session else ""
