"""The transcript of one session on screen.

Owns what a screen, a key or the mouse does to it. It draws by lines and moves its own window
over the layout: Textual's virtual size lays the whole screen out again with each row that is
added, which a stream of words cannot afford. Only rows on screen are drawn, and only the end of
a growing message again.
"""

from __future__ import annotations

from collections.abc import Callable

from rich.style import Style
from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.selection import Selection
from textual.strip import Strip
from textual.widget import Widget

from tui.render.layout import Layout
from tui.render.overlays import marked, prompt_above, selected_text, with_count
from tui.render.paint import Painter
from tui.render.palette import Palette
from tui.render.welcome import greets, welcome_screen
from tui.render.window import Window
from tui.state.items import Item, Prose, ShellRun, ToolCall
from tui.state.session import SessionState
from tui.state.transcript import Transcript
from tui.state.workspace import Workspace

FAR = 1 << 40
"""Rows that reach either edge of any transcript."""
WHEEL_ROWS = 3
"""Rows of one step of the wheel."""
LOW_ROWS = 8
"""Rows below which a screen has no room for a prompt that stays at its top."""
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
        self._window: Window | None = None
        self._welcome: list[Strip] = []
        self._counted = 0

    @property
    def scrolled(self) -> bool:
        """Whether the end is out of sight."""
        return self._window is not None and not self._window.following

    @property
    def selected(self) -> Item | None:
        """The call selected by walking."""
        return self._window.layout.selected if self._window is not None else None

    def flush(self) -> None:
        """Bring what changed to the screen; costs little when nothing did."""
        width, height = self.size
        if not height or not width:
            return
        session = self._workspace.sessions.get(self.session_id)
        transcript = session.transcript if session else self._workspace.lobby
        if greets(transcript):
            self._greet(session)
            return
        window = self._over(transcript)
        changed = window.draw(height)
        below, self._counted = self._counted, window.below(height)
        if changed == 0:
            self.refresh()
        elif changed < height:
            self.refresh(Region(0, changed, width, height - changed))
        elif below != self._counted and not window.following:
            # Rows were added out of sight; the last one in sight says how many.
            self.refresh(Region(0, height - 1, width, 1))

    def tick(self) -> None:
        """Have running seconds in sight counted on."""
        if self._window is not None and self._window.expire_running(self.size.height):
            self.flush()

    def restyle(self, palette: Palette) -> None:
        """Draw everything again in these colours."""
        self.palette = palette
        if self._window is not None and self.size.width:
            self._window.redraw(Painter(palette, self.size.width, self._now))
        self.refresh()
        self.flush()

    def on_resize(self) -> None:
        """Draw everything again for the new size."""
        self.restyle(self.palette)

    def scroll_rows(self, rows: int) -> None:
        """Move the window by rows; reaching the end follows it again."""
        if self._window is not None:
            self._window.move(rows, self.size.height)
            self.refresh()

    def scroll_pages(self, pages: int) -> None:
        """Move by screens, two rows staying in sight."""
        self.scroll_rows(pages * max(1, self.size.height - 2))

    def to_end(self) -> None:
        """Go to the end and stay there."""
        if self._window is not None:
            self._window.follow()
        self.refresh()
        self.flush()

    def walk(self, step: int) -> None:
        """Select the call before or behind the selected one and bring it into sight."""
        if self._window is not None and self._window.walk(step, self.size.height):
            self.refresh()
            self.flush()

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
        if self._window is None or self.text_selection is not None:
            return
        if self.scrolled and event.y == self.size.height - 1:
            self.to_end()
            return
        item = self._window.item_at(event.y)
        if isinstance(item, Foldable):
            self.post_message(self.Fold(self.session_id, item))

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """Return the text of a mouse selection and what stands behind it."""
        if self._window is None:
            return None
        return selected_text(self._window.layout, selection), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        """Draw the selection."""
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Return one row of the window."""
        (width, height), palette, window = self.size, self.palette, self._window
        if window is None:
            base = Style(color=palette.text, bgcolor=palette.background)
            return self._welcome[y] if y < len(self._welcome) else Strip.blank(width, base)
        layout, row = window.layout, window.top + y
        if y == 0 and height >= LOW_ROWS:
            prompt = prompt_above(layout, window.top, palette, width)
            if prompt is not None:
                return prompt
        strip = marked(layout.row(row), row, self.text_selection, palette).apply_offsets(0, row)
        if y == height - 1 and not window.following:
            strip = with_count(strip, window.below(height), palette, width)
        return strip

    def _over(self, transcript: Transcript) -> Window:
        """Return the window over a transcript, which is another one than before at times."""
        window = self._window
        if window is None or window.layout.transcript is not transcript:
            painter = Painter(self.palette, self.size.width, self._now)
            window = self._window = Window(Layout(transcript, painter))
            self.refresh()
        return window

    def _greet(self, session: SessionState | None) -> None:
        width, height = self.size
        strips = welcome_screen(self._workspace, session, self.palette, width, height)
        if self._window is not None or strips != self._welcome:
            self._window, self._welcome = None, strips
            self.refresh()
