"""What keys mean on the main screen.

Owns bindings and their actions. A key changes the state through the application's `apply`, or
moves the transcript in sight.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding
from textual.screen import Screen

from tui.state import outcomes as o
from tui.state.items import Prose, ShellRun, ToolCall
from tui.widgets.prompt import Prompt
from tui.widgets.transcript_view import FAR, TranscriptView

if TYPE_CHECKING:
    from tui.app import JidoApp


def _tab_bindings() -> list[Binding]:
    return [
        Binding(f"alt+{digit},ctrl+{digit}", f"tab({digit})", show=False, priority=True)
        for digit in range(10)
    ]


class Keys(Screen[None]):
    """A screen with a prompt and transcripts, and the keys for them."""

    BINDINGS: ClassVar = [
        *_tab_bindings(),
        Binding("ctrl+tab,alt+right", "cycle(1)", show=False, priority=True),
        Binding("ctrl+shift+tab,alt+left", "cycle(-1)", show=False, priority=True),
        Binding("ctrl+n", "command('/session new')", show=False, priority=True),
        Binding("ctrl+w", "command('/session close')", show=False, priority=True),
        Binding("ctrl+q", "command('/quit')", show=False, priority=True),
        Binding("f1", "command('/help')", show=False, priority=True),
        Binding("f2", "resume", show=False, priority=True),
        Binding("f4", "fold", show=False, priority=True),
        Binding("escape", "back", show=False),
        Binding("ctrl+c", "copy_or_clear", show=False, priority=True),
        Binding("pageup", "page(-1)", show=False, priority=True),
        Binding("pagedown", "page(1)", show=False, priority=True),
        Binding("ctrl+home", "edge(-1)", show=False, priority=True),
        Binding("ctrl+end", "edge(1)", show=False, priority=True),
        Binding("alt+up", "walk(-1)", show=False, priority=True),
        Binding("alt+down", "walk(1)", show=False, priority=True),
    ]

    app: JidoApp
    shown_id = ""
    """The session whose transcript is in sight; empty when there is none."""

    @property
    def prompt(self) -> Prompt:
        """The prompt."""
        return self.query_one(Prompt)

    @property
    def view(self) -> TranscriptView:
        """The transcript on screen."""
        return next(v for v in self.query(TranscriptView) if v.session_id == self.shown_id)

    async def action_tab(self, digit: int) -> None:
        """Show the tab of a digit."""
        session = self.app.workspace.at(digit)
        if session is None:
            self.app.apply(o.Told("", "info", f"There is no tab {digit}. Ctrl+N opens one."))
            return
        self.app.apply(o.Focused(session.id))
        await self.app.show()

    def action_cycle(self, step: int) -> None:
        """Show the next or previous tab, around the ends."""
        order = list(self.app.workspace.sessions)
        if len(order) > 1:
            place = order.index(self.app.workspace.active_id) + step
            self.app.apply(o.Focused(order[place % len(order)]))

    def action_command(self, line: str) -> None:
        """Run a command by key."""
        self.app.run_command(line)

    def action_resume(self) -> None:
        """Take the offer to resume, or list what could be resumed."""
        offer = self.app.workspace.offered
        self.app.run_command(f"/resume {offer.id}" if offer else "/resume")

    def action_fold(self) -> None:
        """Fold or unfold the selected call, or the last one."""
        item = self.view.selected
        session = self.app.workspace.active
        if session is None:
            return
        if item is None:
            calls = (
                i for i in reversed(session.transcript.items) if isinstance(i, ToolCall | ShellRun)
            )
            item = next(calls, None)
        if isinstance(item, ToolCall | Prose | ShellRun):
            self.app.apply(o.Folded(session.id, item, not is_open(item)))

    def action_back(self) -> None:
        """Close what is open, else stop the turn, else go to the end."""
        workspace = self.app.workspace
        session = workspace.active
        if workspace.question is not None:
            self.app.apply(o.QuestionClosed())
        elif session is not None and (session.busy or session.queue):
            self.app.work.begin(self.app.work.cancel(session))
        elif workspace.offered is not None:
            self.app.apply(o.OfferDismissed())
        else:
            self.view.to_end()
            self.app.schedule()

    def action_copy_or_clear(self) -> None:
        """Copy what is selected, else clear the draft, else say how to leave."""
        selected = self.get_selected_text() or self.prompt.selected_text
        if selected:
            self.app.copy_to_clipboard(selected)
            self.clear_selection()
        elif self.prompt.text:
            self.prompt.put("")
        else:
            self.app.apply(o.Told("", "info", "Ctrl+Q leaves; sessions go on."))

    def action_page(self, pages: int) -> None:
        """Scroll by screens."""
        self.view.scroll_pages(pages)
        self.app.schedule()

    def action_edge(self, direction: int) -> None:
        """Go to the beginning or the end."""
        if direction > 0:
            self.view.to_end()
        else:
            self.view.scroll_rows(-FAR)
        self.app.schedule()

    def action_walk(self, step: int) -> None:
        """Select the call before or behind."""
        self.view.walk(step)
        self.app.schedule()


def is_open(item: ToolCall | Prose | ShellRun) -> bool:
    """Say whether an item shows more than its line."""
    if item.open is not None:
        return item.open
    if isinstance(item, ToolCall):
        return item.failed or not item.finished
    return isinstance(item, ShellRun) or not item.closed
