"""The transcript of one session on screen.

Owns which rows are in sight. It draws by lines and moves its own window over the layout:
Textual's virtual size lays the whole screen out again with each row that is added, which a
stream of words cannot afford. Only rows on screen are drawn, and only the end of a growing
message again.
"""

from __future__ import annotations

from collections.abc import Callable

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.selection import Selection
from textual.strip import Strip
from textual.widget import Widget

from tui.render.layout import Layout
from tui.render.paint import INDENT, Painter, fits
from tui.render.palette import Palette
from tui.render.welcome import greets, welcome_rows
from tui.state.items import Item, Prose, ShellRun, ToolCall, UserText
from tui.state.session import SessionState
from tui.state.transcript import Transcript
from tui.state.workspace import Workspace

FAR = 1 << 40
"""Rows that reach either edge of any transcript."""
WHEEL_ROWS = 3
"""Rows of one step of the wheel."""
Foldable = ToolCall | Prose | ShellRun


class TranscriptView(Widget):
    """A window over the rows of a transcript; it stays at the end until one scrolls up."""

    ALLOW_SELECT = True

    class Fold(Message):
        """An item was clicked that folds."""

        def __init__(self, session_id: str, item: Item) -> None:
            """Name the item and its session."""
            super().__init__()
            self.session_id = session_id
            self.item = item

    def __init__(
        self, workspace: Workspace, session_id: str, palette: Palette, now: Callable[[], float]
    ) -> None:
        """Show a session of `workspace`, or what stands in place of one for an empty id."""
        super().__init__(classes="transcript")
        self._workspace = workspace
        self.session_id = session_id
        self.palette = palette
        self._now = now
        self._rows: Layout | None = None
        self._top = 0
        self._following = True
        self._seen: tuple[int, int] = (-1, -1)
        self._welcome: list[Strip] = []

    @property
    def session(self) -> SessionState | None:
        """The session shown."""
        return self._workspace.sessions.get(self.session_id)

    @property
    def scrolled(self) -> bool:
        """Whether the end is out of sight."""
        return not self._following

    def flush(self) -> None:
        """Bring what changed to the screen; costs little when nothing did."""
        session, height = self.session, self.size.height
        if not height or not self.size.width:
            return
        transcript = session.transcript if session else self._workspace.lobby
        if greets(transcript):
            if self._rows is not None:
                self._rows = None
                self.refresh()
            self._greet()
            return
        layout = self._laid_out(transcript)
        seen = (transcript.structure, len(layout.entries))
        layout.sync()
        if self._following:
            changed = layout.draw_tail(height)
            top = max(0, layout.total - height)
        else:
            top, row = layout.draw_between(self._top, height)
            changed = top + row
        moved = top != self._top or seen[0] != self._seen[0]
        self._top, self._seen = top, seen
        if moved:
            self.refresh()
        elif changed < top + height:
            first = max(0, changed - top)
            self.refresh(Region(0, first, self.size.width, height - first))

    def tick(self) -> None:
        """Have running seconds in sight counted on."""
        layout = self._rows
        if layout is None or not layout.entries:
            return
        first = layout.index_at(self._top)
        if layout.expire_running(first, layout.index_at(self._top + self.size.height)):
            self.flush()

    def restyle(self, palette: Palette) -> None:
        """Draw everything again in other colours."""
        self.palette = palette
        self._renew()

    def on_resize(self) -> None:
        """Draw everything again for the new size."""
        self._renew()

    def scroll_rows(self, rows: int) -> None:
        """Move the window by rows; reaching the end follows it again."""
        layout, height = self._rows, self.size.height
        if layout is None:
            return
        wanted = max(0, min(self._top + rows, layout.total - height))
        top, _ = layout.draw_between(wanted, height)
        self._top = max(0, min(top, layout.total - height))
        self._following = self._top >= layout.total - height
        self.refresh()

    def scroll_pages(self, pages: int) -> None:
        """Move by screens, two rows staying in sight."""
        self.scroll_rows(pages * max(1, self.size.height - 2))

    def to_end(self) -> None:
        """Go to the end and stay there."""
        self._following = True
        self.refresh()
        self.flush()

    def walk(self, step: int) -> None:
        """Select the call before or behind the selected one and bring it into sight."""
        layout = self._rows
        if layout is None:
            return
        calls = [e.item for e in layout.entries if isinstance(e.item, ToolCall | ShellRun)]
        if not calls:
            return
        if layout.selected in calls:
            place = calls.index(layout.selected) + step
        else:
            place = len(calls) - 1 if step < 0 else 0
        if not 0 <= place < len(calls):
            layout.select(None)
            self.to_end()
            return
        layout.select(calls[place])
        row = layout.place_of(calls[place])
        self._following = False
        self.scroll_rows(row - self.size.height // 3 - self._top)

    @property
    def selected(self) -> Item | None:
        """The call selected by walking."""
        return self._rows.selected if self._rows else None

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Scroll towards the beginning."""
        event.stop()
        self.scroll_rows(-WHEEL_ROWS)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Scroll towards the end."""
        event.stop()
        self.scroll_rows(WHEEL_ROWS)

    def on_click(self, event: events.Click) -> None:
        """Fold or unfold, unless the click ended a selection."""
        layout = self._rows
        if layout is None or self.text_selection is not None:
            return
        if self.scrolled and event.y == self.size.height - 1:
            self.to_end()
            return
        entry = layout.entries[layout.index_at(self._top + event.y)]
        if isinstance(entry.item, Foldable):
            self.post_message(self.Fold(self.session_id, entry.item))

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """Return the text of a mouse selection, without bars and padding."""
        layout = self._rows
        if layout is None:
            return None
        start = selection.start.y if selection.start else 0
        end = selection.end.y if selection.end else layout.total - 1
        lines = []
        for y in range(start, min(end, layout.total - 1) + 1):
            text, span = layout.row(y).text, selection.get_span(y)
            left, right = span or (0, -1)
            lines.append(text[max(INDENT, left) : None if right < 0 else right].rstrip())
        return "\n".join(lines), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        """Draw the selection."""
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return one row of the window."""
        width, layout = self.size.width, self._rows
        base = Style(color=self.palette.text, bgcolor=self.palette.background)
        if layout is None:
            return self._welcome[y] if y < len(self._welcome) else Strip.blank(width, base)
        if y == 0 and (sticky := self._sticky(layout)):
            return sticky
        row = self._top + y
        strip = self._selected(layout.row(row), row).apply_offsets(0, row)
        if y == self.size.height - 1 and self.scrolled:
            strip = self._pill(strip, layout, base)
        return strip

    def _selected(self, strip: Strip, row: int) -> Strip:
        selection = self.text_selection
        span = selection.get_span(row) if selection is not None else None
        if span is None:
            return strip
        start, end = max(INDENT, span[0]), len(strip.text.rstrip()) if span[1] < 0 else span[1]
        left = strip.index_to_cell_position(start)
        right = strip.index_to_cell_position(min(end, len(strip.text)))
        if right <= left:
            return strip
        mark = Style(bgcolor=self.palette.faint)
        before, middle, after = strip.divide([left, right, strip.cell_length])
        middle = Strip([Segment(s.text, (s.style or Style()) + mark) for s in middle])
        return Strip.join([before, middle, after])

    def _pill(self, strip: Strip, layout: Layout, base: Style) -> Strip:
        below = layout.total - self._top - self.size.height
        words = f" ↓ {below} rows "
        left = max(0, self.size.width - len(words) - 2)
        pill = Segment(
            words, base + Style(color=self.palette.background, bgcolor=self.palette.accent)
        )
        return Strip([*strip.crop(0, left), pill, Segment("  ", base)]).adjust_cell_length(
            self.size.width, base
        )

    def _sticky(self, layout: Layout) -> Strip | None:
        """Return the prompt whose answer is in sight, when it is out of sight itself."""
        if self.size.height < 8 or self._top == 0:
            return None
        index = layout.index_at(self._top)
        top_item = layout.entries[index].item
        if isinstance(top_item, UserText) or not top_item.turn_id:
            return None
        for entry in reversed(layout.entries[max(0, index - 200) : index]):
            if isinstance(entry.item, UserText):
                palette = self.palette
                base = Style(color=palette.dim, bgcolor=palette.raised)
                line = fits(" ".join(entry.item.text[:400].split()), self.size.width - 4)
                bar = Segment("▌ ", base + Style(color=palette.accent))
                return Strip([bar, Segment(line, base)]).adjust_cell_length(self.size.width, base)
        return None

    def _laid_out(self, transcript: Transcript) -> Layout:
        layout = self._rows
        if layout is None or layout.transcript is not transcript:
            painter = Painter(self.palette, self.size.width, self._now)
            layout = self._rows = Layout(transcript, painter)
            self._following = True
            self.refresh()
        return layout

    def _renew(self) -> None:
        if self._rows is not None and self.size.width:
            anchor = self._rows.index_at(self._top) if self._rows.entries else 0
            self._rows.redraw(Painter(self.palette, self.size.width, self._now))
            if self._rows.offsets:
                self._top = self._rows.offsets[anchor]
        self.refresh()
        self.flush()

    def _greet(self) -> None:
        width, height = self.size.width, self.size.height
        left = min(12, width // 10)
        room = min(width - left - 2, 90)
        rows = welcome_rows(self._workspace, self.session, self.palette, room)[: max(1, height)]
        base = Style(color=self.palette.text, bgcolor=self.palette.background)
        strips = [Strip.blank(width, base)] * max(0, min((height - len(rows)) // 2, 6))
        for row in rows:
            segments = [Segment(s.text, base + (s.style or Style())) for s in row]
            strip = Strip([Segment(" " * max(2, left), base), *segments])
            strips.append(strip.adjust_cell_length(width, base))
        if strips != self._welcome:
            self._welcome = strips
            self.refresh()
