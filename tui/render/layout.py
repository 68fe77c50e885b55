"""Where each item of a transcript stands.

Owns heights and offsets. A height is estimated until its item was first drawn; offsets are
sums over heights, and the item of a row is found by bisection. Rows are kept only for items
near the screen.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate

from textual.strip import Strip

from tui.render.paint import Painter, estimate
from tui.state.items import Item, Notice, ShellRun, ToolCall, TurnEnd
from tui.state.transcript import Transcript

KEPT_ROWS = 20_000
"""Rows kept drawn; beyond it those far from the screen are drawn again when needed."""


class Entry:
    """One item and what is known of its drawing."""

    __slots__ = ("gap", "height", "item", "revision", "rows")

    def __init__(self, item: Item, gap: int, height: int) -> None:
        """Start undrawn, with an estimated height that includes the gap above."""
        self.item = item
        self.gap = gap
        self.height = height
        self.revision = -1
        self.rows: list[Strip] | None = None

    @property
    def exact(self) -> bool:
        """Whether the height is that of the present drawing."""
        return self.revision == self.item.revision


class Layout:
    """Positions of all items of one transcript at one width."""

    def __init__(self, transcript: Transcript, painter: Painter) -> None:
        """Lay out `transcript` as it is now."""
        self.transcript = transcript
        self.painter = painter
        self.entries: list[Entry] = []
        self.offsets: list[int] = []
        """First row of each entry, its gap included."""
        self.total = 0
        """Rows in all."""
        self.selected: Item | None = None
        self._structure = -1
        self._kept = 0
        self.sync()

    def sync(self) -> None:
        """Take up items that were added; nothing is drawn."""
        items = self.transcript.items
        if self.transcript.structure != self._structure:
            known = {id(entry.item): entry for entry in self.entries}
            self._structure = self.transcript.structure
            self.entries = []
            for item in items:
                self._add(item, known.get(id(item)))
        elif len(items) == len(self.entries):
            return
        else:
            for item in items[len(self.entries) :]:
                self._add(item, None)
        self._sum()

    def redraw(self, painter: Painter) -> None:
        """Forget all drawings and estimate anew, for another width or palette."""
        width_changed = painter.width != self.painter.width
        self.painter = painter
        self._kept = 0
        for entry in self.entries:
            entry.rows, entry.revision = None, -1
            if width_changed:
                entry.height = entry.gap + estimate(entry.item, painter.width)
        self._sum()

    def index_at(self, y: int) -> int:
        """Return the entry that row `y` belongs to."""
        return max(0, min(len(self.entries) - 1, bisect_right(self.offsets, y) - 1))

    def row(self, y: int) -> Strip:
        """Return row `y`; a blank one outside the transcript."""
        if not 0 <= y < self.total or not self.entries:
            return self.painter.blank()
        index = self.index_at(y)
        entry = self.entries[index]
        place = y - self.offsets[index] - entry.gap
        rows = entry.rows if entry.rows is not None else self._draw(entry)
        return rows[place] if 0 <= place < len(rows) else self.painter.blank()

    def draw_between(self, top: int, height: int) -> tuple[int, int]:
        """Draw everything on screen; return the top row that keeps what was in sight in place,
        and the first row of the screen that looks different (`height` when none does)."""
        if not self.entries:
            return 0, 0
        changed = height
        first, last = self.index_at(top), self.index_at(top + height - 1)
        anchor = next((i for i in range(first, last + 1) if self.entries[i].exact), first)
        place = self.offsets[anchor] - top
        while (stale := self._stale(top, height)) is not None:
            row, grew = self._refresh(stale)
            changed = min(changed, row - top)
            if grew:
                self._sum()
                top = max(0, self.offsets[anchor] - place)
        self._forget_far(top)
        return top, max(0, changed)

    def draw_tail(self, height: int) -> int:
        """Draw the last `height` rows exactly; return the first row that looks different."""
        changed, grew, needed = 1 << 60, False, height
        index = len(self.entries) - 1
        while index >= 0 and needed > 0:
            entry = self.entries[index]
            if not self._fresh(entry):
                row, taller = self._refresh(index)
                changed, grew = min(changed, row), grew or taller
            needed -= entry.height
            index -= 1
        if grew:
            self._sum()
        self._forget_far(max(0, self.total - height))
        return changed

    def expire_running(self, first: int, last: int) -> bool:
        """Have calls that show running seconds drawn again; say whether there are any."""
        found = False
        for entry in self.entries[first : last + 1]:
            item = entry.item
            if isinstance(item, ToolCall | ShellRun) and not item.finished:
                entry.revision, found = -1, True
        return found

    def select(self, item: Item | None) -> None:
        """Mark one item, as when walking from call to call."""
        for entry in self.entries:
            if entry.item is item or entry.item is self.selected:
                entry.revision = -1
        self.selected = item

    def place_of(self, item: Item) -> int:
        """Return the first row of an item; -1 when it is not here."""
        for index, entry in enumerate(self.entries):
            if entry.item is item:
                return self.offsets[index]
        return -1

    def _add(self, item: Item, known: Entry | None) -> None:
        gap = _gap(self.entries[-1].item, item) if self.entries else 0
        if known is not None:
            known.height += gap - known.gap
            known.gap = gap
            self.entries.append(known)
        else:
            height = gap + estimate(item, self.painter.width)
            self.entries.append(Entry(item, gap, height))

    def _stale(self, top: int, height: int) -> int | None:
        """Return the first entry on screen that must be drawn; None when all are."""
        first, last = self.index_at(top), self.index_at(top + height - 1)
        places = range(first, last + 1)
        return next((i for i in places if not self._fresh(self.entries[i])), None)

    def _fresh(self, entry: Entry) -> bool:
        return entry.rows is not None and entry.exact

    def _refresh(self, index: int) -> tuple[int, bool]:
        entry = self.entries[index]
        before, height = entry.rows or [], entry.height
        rows = self._draw(entry)
        same = 0
        while same < min(len(before), len(rows)) and before[same] == rows[same]:
            same += 1
        return self.offsets[index] + entry.gap + same, entry.height != height

    def _draw(self, entry: Entry) -> list[Strip]:
        rows = self.painter.paint(entry.item, selected=entry.item is self.selected)
        self._kept += len(rows) - len(entry.rows or [])
        entry.rows, entry.revision = rows, entry.item.revision
        entry.height = entry.gap + len(rows) if rows else 0
        return rows

    def _sum(self) -> None:
        sums = list(accumulate((entry.height for entry in self.entries), initial=0))
        self.total = sums.pop()
        self.offsets = sums

    def _forget_far(self, top: int) -> None:
        if self._kept <= KEPT_ROWS:
            return
        here = self.index_at(top)
        for index, entry in enumerate(self.entries):
            if entry.rows is not None and abs(index - here) > 200:
                self._kept -= len(entry.rows)
                entry.rows = None


def _gap(above: Item, item: Item) -> int:
    tight = (ToolCall, Notice)
    if isinstance(above, tight) and isinstance(item, tight):
        return 0
    return 0 if isinstance(item, TurnEnd) and item.status == "completed" else 1
