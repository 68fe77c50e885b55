"""The rows between transcript and prompt: what waits.

Owns asks, the client's own question, queued prompts, the task under way and the offer to
resume. They stand above the prompt, never take the focus, and are gone when nothing waits.
"""

from __future__ import annotations

from collections.abc import Callable

from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from tui.render.palette import Palette
from tui.render.pending import pending_rows
from tui.state.workspace import Workspace


class Pending(Widget):
    """As many rows as are needed, none when nothing waits."""

    def __init__(self, workspace: Workspace, palette: Palette, now: Callable[[], float]) -> None:
        """Show what waits in `workspace`; `now` gives seconds since 1970."""
        super().__init__(id="pending")
        self._workspace = workspace
        self.palette = palette
        self._now = now
        self._rows: list[Strip] = []
        self.display = False

    def sync(self, width: int, screen_height: int) -> None:
        """Draw again what waits, in at most half of the screen."""
        limit = max(3, screen_height // 2)
        rows = pending_rows(self._workspace, self.palette, width, limit, self._now())
        if rows == self._rows:
            return
        self._rows = rows
        self.display = bool(rows)
        if rows and len(rows) != self.size.height:
            self.styles.height = len(rows)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return one row."""
        if y < len(self._rows):
            return self._rows[y].adjust_cell_length(self.size.width, self._base)
        return Strip.blank(self.size.width, self._base)

    @property
    def _base(self) -> Style:
        return Style(color=self.palette.text, bgcolor=self.palette.background)
