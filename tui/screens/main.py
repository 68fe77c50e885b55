"""The one screen: tabs, transcript, what waits, prompt, status.

Owns layout and keys. What a key does to the state goes through the application's `apply`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Container, Horizontal
from textual.screen import Screen
from textual.widgets import Static, TextArea

from tui.commands.parse import is_command
from tui.render.palette import Palette
from tui.screens.completion import Completion
from tui.state import outcomes as o
from tui.state.hints import hints, standing
from tui.state.items import Prose, ShellRun, ToolCall
from tui.widgets.pending import Pending
from tui.widgets.popup import Popup
from tui.widgets.prompt import Prompt
from tui.widgets.status_bar import StatusBar
from tui.widgets.tab_bar import TabBar
from tui.widgets.transcript_view import TranscriptView
from tui.work import new_key

if TYPE_CHECKING:
    from tui.app import JidoApp

MIN_WIDTH, MIN_HEIGHT = 20, 6
"""Columns and rows below which there is one line only."""
TALL = 20
"""Rows from which the prompt has air around it."""
TICK_S = 1.0
"""Seconds between counts of what runs."""


def _tab_bindings() -> list[Binding]:
    return [
        Binding(f"alt+{digit},ctrl+{digit}", f"tab({digit})", show=False, priority=True)
        for digit in range(10)
    ]


class MainScreen(Screen[None]):
    """Everything the client shows."""

    BINDINGS = [
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

    def compose(self) -> ComposeResult:
        """Lay out the rows."""
        workspace, palette = self.app.workspace, self.app.palette
        yield TabBar(workspace, palette)
        with Container(id="transcripts"):
            yield TranscriptView(workspace, "", palette, time.time)
        yield Pending(workspace, palette, time.time)
        yield Popup(palette)
        with Horizontal(id="prompt-row"):
            yield Prompt()
        yield StatusBar(palette)
        yield Static("Too small: 20 columns and 6 rows are needed.", id="too-small")

    def on_mount(self) -> None:
        """Give the prompt the focus for good."""
        self._shown = ""
        self.completion = Completion(self.app.work, self.query_one(Popup), self.prompt)
        self.prompt.focus()
        self.set_interval(TICK_S, self._tick)

    @property
    def prompt(self) -> Prompt:
        """The prompt."""
        return self.query_one(Prompt)

    @property
    def view(self) -> TranscriptView:
        """The transcript on screen."""
        return next(v for v in self.query(TranscriptView) if v.session_id == self._shown)

    async def sync(self) -> None:
        """Bring the state to the widgets."""
        workspace = self.app.workspace
        await self._sync_views()
        self.query_one(TabBar).sync()
        self.query_one(Pending).sync(self.size.width, self.size.height)
        self._expect()
        view = self.view
        view.flush()
        keys = hints(
            workspace,
            self.app.keyboard,
            completing=self.completion.open,
            scrolled=view.scrolled,
            typing=bool(self.prompt.text.strip()),
        )
        self.query_one(StatusBar).show(keys, *standing(workspace))

    async def _sync_views(self) -> None:
        workspace = self.app.workspace
        views = {view.session_id: view for view in self.query(TranscriptView)}
        for gone in [key for key in views if key and key not in workspace.sessions]:
            await views.pop(gone).remove()
        active = workspace.active_id
        if active not in views:
            view = TranscriptView(workspace, active, self.app.palette, time.time)
            await self.query_one("#transcripts").mount(view)
            views[active] = view
        if active != self._shown:
            self._switch_draft(active)
        for key, view in views.items():
            view.display = key == active

    def _switch_draft(self, active: str) -> None:
        workspace = self.app.workspace
        left = workspace.sessions.get(self._shown)
        if left is not None:
            left.draft = self.prompt.text
        typed = self.prompt.text if not self._shown else ""
        self._shown = active
        session = workspace.active
        self.prompt.open_draft(
            (session.draft if session else "") or typed, session.history if session else ()
        )
        self.completion.close()

    def _expect(self) -> None:
        workspace = self.app.workspace
        session = workspace.active
        if workspace.question is not None:
            self.prompt.expect(frozenset("yn"))
        elif session is not None and session.asks and not session.asks[0].answering:
            self.prompt.expect(frozenset("yan"))
        else:
            self.prompt.expect(frozenset())

    def restyle(self, palette: Palette) -> None:
        """Draw everything in other colours."""
        for kind in (TabBar, Pending, Popup, StatusBar):
            widget: Any = self.query_one(kind)
            widget.palette = palette
            widget.refresh()
        for view in self.query(TranscriptView):
            view.restyle(palette)
        self.app.schedule()

    def on_resize(self, event: events.Resize) -> None:
        """Choose the layout for the size."""
        small = event.size.width < MIN_WIDTH or event.size.height < MIN_HEIGHT
        self.set_class(small, "small")
        self.set_class(event.size.height >= TALL, "tall")
        self.app.schedule()

    def _tick(self) -> None:
        session = self.app.workspace.active
        if session is not None and self.view.is_mounted:
            self.view.tick()

    def on_prompt_sent(self, message: Prompt.Sent) -> None:
        """Run a command, or send a prompt."""
        text = message.text.strip()
        if not text:
            return
        self.prompt.put("")
        session = self.app.workspace.active
        if is_command(text):
            if session is not None:
                session.remember(text)
            self.app.run_command(text)
        else:
            self.app.apply(o.PromptTyped(session.id if session else "", new_key(), text))
        if session is not None:
            self.prompt.open_draft("", session.history)
        self.view.to_end()

    def on_prompt_answered(self, message: Prompt.Answered) -> None:
        """Answer the client's own question, or else the first ask."""
        workspace = self.app.workspace
        question, session = workspace.question, workspace.active
        if question is not None:
            self.app.apply(o.QuestionClosed())
            if message.letter == "y":
                self.app.run_command(question.command)
        elif session is not None and session.asks:
            decision = {"y": "once", "a": "session", "n": "deny"}[message.letter]
            self.app.work.begin(self.app.work.answer(session, session.asks[0], decision))

    def on_text_area_changed(self, message: TextArea.Changed) -> None:
        """Offer completions for what is typed."""
        self.completion.look(self.app.workspace.active_id)
        self.app.schedule()

    def on_prompt_popup_key(self, message: Prompt.PopupKey) -> None:
        """Move in the list of completions, take one or close it."""
        if not self.completion.key(message.key):
            self.on_prompt_sent(Prompt.Sent(self.prompt.text))
        self.app.schedule()

    def on_popup_picked(self, message: Popup.Picked) -> None:
        """Take the completion that was clicked."""
        self.completion.key("tab")

    def on_tab_bar_chosen(self, message: TabBar.Chosen) -> None:
        """Show the tab that was clicked."""
        self.app.apply(o.Focused(message.session_id))

    def on_transcript_view_fold(self, message: TranscriptView.Fold) -> None:
        """Fold or unfold what was clicked."""
        item = message.item
        if isinstance(item, ToolCall | Prose | ShellRun):
            self.app.apply(o.Folded(message.session_id, item, not is_open(item)))

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
        offer = self.app.workspace.offer
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
        elif workspace.offer is not None:
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
            self.view.to_start()
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
