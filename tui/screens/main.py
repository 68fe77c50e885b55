"""The one screen: tabs, transcript, what waits, prompt, status.

Owns layout and keys. What a key does to the state goes through the application's `apply`.
"""

from __future__ import annotations

import time
from typing import Any

from textual import events
from textual.app import ComposeResult
from textual.containers import Container, Horizontal
from textual.widgets import Static, TextArea

from tui.commands.parse import is_command
from tui.render.palette import Palette
from tui.screens.completion import Completion
from tui.screens.keys import Keys, is_open
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

MIN_WIDTH, MIN_HEIGHT = 20, 6
"""Columns and rows below which there is one line only."""
TALL = 20
"""Rows from which the prompt has air around it."""
TICK_S = 1.0
"""Seconds between counts of what runs."""


class MainScreen(Keys):
    """Everything the client shows."""

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
        self.completion = Completion(self.app.work, self.query_one(Popup), self.prompt)
        self.prompt.popup_key = self._popup_key
        self.prompt.focus()
        self.set_interval(TICK_S, self._tick)

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
        if active != self.shown_id:
            self._switch_draft(active)
        self._take_draft()
        for key, view in views.items():
            view.display = key == active

    def _switch_draft(self, active: str) -> None:
        workspace = self.app.workspace
        left = workspace.sessions.get(self.shown_id)
        if left is not None:
            left.draft = self.prompt.text
        session = workspace.active
        inherits = session is not None and session.replaced == self.shown_id
        typed = self.prompt.text if inherits or not self.shown_id else ""
        self.shown_id = active
        self.prompt.open_draft(typed, session.history if session else ())
        self.completion.close()

    def _take_draft(self) -> None:
        """Put what the tab kept, or what the server gave back, into the empty prompt."""
        session = self.app.workspace.active
        if session is not None and session.draft and not self.prompt.text:
            self.prompt.put(session.draft)
            session.draft = ""

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
        session = self.app.workspace.active
        if is_command(text):
            if session is not None:
                session.remember(text)
            self.app.run_command(text)
        else:
            self.app.apply(o.PromptTyped(session.id if session else "", new_key(), text))
            if session is None and self.app.workspace.server == "ready":
                self.app.work.begin(self.app.work.open_here())
        if session is not None:
            self.prompt.open_draft(self.prompt.text, session.history)
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

    def _popup_key(self, key: str) -> bool:
        """Move in the list of completions, take one or close it."""
        taken = self.completion.key(key)
        self.app.schedule()
        return taken

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
