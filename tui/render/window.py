"""Which rows of a layout are in sight.

Owns the row at the top of the screen and whether it stays at the end: until it is moved up, or
until an answer of the client comes that is longer than the screen, which is read from its
beginning. Has rows drawn, but knows neither the widget that shows them nor what is drawn over them.
"""

from __future__ import annotations

from tui.render.layout import Layout
from tui.render.paint import Painter
from tui.state.items import Item, Note, Patch, ShellRun, ToolCall


class Window:
    """A screen's height of rows of one layout; it stays at the end until it is moved up."""

    def __init__(self, layout: Layout) -> None:
        """Look at the end of `layout`."""
        self.layout = layout
        self.top = 0
        """The first row in sight."""
        self.following = True
        """Whether the end stays in sight while rows are added."""
        self._structure = layout.transcript.structure
        self._known = 0

    def draw(self, height: int) -> int:
        """Draw what is in sight; return the first row of the screen that looks different: 0
        when the window moved, `height` or more when none does."""
        layout, structure = self.layout, self.layout.transcript.structure
        layout.sync()
        if self.following:
            changed = layout.draw_tail(height)
            end = max(0, layout.total - height)
            top = min(end, self._long_answer())
            self.following = top == end
        else:
            top, row = layout.draw_between(self.top, height)
            changed = top + row
        self._known = len(layout.entries)
        moved = top != self.top or structure != self._structure
        self.top, self._structure = top, structure
        return 0 if moved else max(0, changed - top)

    def _long_answer(self) -> int:
        """Return the first row of an answer of the client that came since the last drawing; a row
        beyond the end when none did."""
        layout = self.layout
        if layout.transcript.structure != self._structure:
            # Others than those at the end are new.
            return layout.total
        for entry, offset in zip(
            layout.entries[self._known :], layout.offsets[self._known :], strict=True
        ):
            if isinstance(entry.item, Note | Patch):
                return offset + entry.gap
        return layout.total

    def redraw(self, painter: Painter) -> None:
        """Forget all drawings, for another width or palette; the item at the top stays there."""
        layout = self.layout
        anchor = layout.index_at(self.top)
        layout.redraw(painter)
        if layout.offsets:
            self.top = layout.offsets[anchor]

    def move(self, rows: int, height: int) -> None:
        """Move by rows; reaching the end follows it again."""
        end = self.layout.total - height
        top, _ = self.layout.draw_between(max(0, min(self.top + rows, end)), height)
        end = self.layout.total - height
        self.top = max(0, min(top, end))
        self.following = self.top >= end

    def follow(self) -> None:
        """Stay at the end from the next drawing on."""
        self.following = True

    def walk(self, step: int, height: int) -> bool:
        """Select the call before or behind the selected one and bring it into sight; beyond the
        first and the last none is selected and the end is followed. False without any call."""
        layout = self.layout
        items = (entry.item for entry in layout.entries)
        calls = [item for item in items if isinstance(item, ToolCall | ShellRun)]
        if not calls:
            return False
        if layout.selected in calls:
            place = calls.index(layout.selected) + step
        else:
            place = len(calls) - 1 if step < 0 else 0
        if not 0 <= place < len(calls):
            layout.select(None)
            self.follow()
            return True
        layout.select(calls[place])
        self.move(layout.place_of(calls[place]) - height // 3 - self.top, height)
        return True

    def item_at(self, y: int) -> Item:
        """Return the item at row `y` of the screen."""
        return self.layout.entries[self.layout.index_at(self.top + y)].item

    def below(self, height: int) -> int:
        """Return how many rows follow the last one in sight."""
        return self.layout.total - self.top - height

    def expire_running(self, height: int) -> bool:
        """Have calls in sight that show running seconds drawn again; say whether there are any."""
        layout = self.layout
        if not layout.entries:
            return False
        return layout.expire_running(layout.index_at(self.top), layout.index_at(self.top + height))
