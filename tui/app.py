"""The application: puts the parts together and lets outcomes flow.

Owns the one `Workspace`, changes it only by `reduce` in its handlers, and brings changes to
the screen at a pace. Keys and their meaning are in `tui.screens.main`.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import os
import sys
import time
from pathlib import Path
from typing import ClassVar

from textual import events
from textual.app import App
from textual.driver import Driver
from textual.message import Message

from tui.client import Api
from tui.commands.desk import Desk
from tui.commands.dispatch import dispatch
from tui.early_keys import EarlyKeys
from tui.found import Reach
from tui.hang_up import CODE, LOOK_S, is_gone
from tui.http import Http, NoAddress
from tui.keyboard import Keyboard, claim_alt_keys
from tui.pace import Pace
from tui.render.palette import DARK, PALETTES, Palette
from tui.screens.main import MainScreen
from tui.state.outcomes import Closing, HistoryLoaded, Outcome, SessionGone, Told
from tui.state.reduce import reduce
from tui.state.workspace import Workspace
from tui.themes import THEMES
from tui.wardrobe import Wardrobe
from tui.work import Work

HERE = Path(__file__).parent


class Arrived(Message):
    """Something happened beside the screen."""

    bubble = False

    def __init__(self, outcome: Outcome) -> None:
        """Carry the outcome to the handler that reduces it."""
        super().__init__()
        self.outcome = outcome


class JidoApp(App[int]):
    """The terminal client."""

    CSS_PATH: ClassVar = [str(path) for path in sorted(HERE.glob("*/*.tcss"))]
    ENABLE_COMMAND_PALETTE = False
    TITLE = "jido"

    def __init__(self, reach: Reach, project_path: str | None, theme: str | None = None) -> None:
        """Prepare; nothing is called before the first frame stands.

        `theme` is that of the first frame, until `reach` says which one the person has.
        """
        super().__init__()
        self.fault: Exception | None = None
        """Why no server was found; the client has ended for it."""
        self._reach = reach
        self._http = Http(None, "")
        self.workspace = Workspace(project_path=project_path or "", home=os.path.expanduser("~"))
        claim_alt_keys()
        self.keyboard = Keyboard(os.environ)
        self.work = Work(Api(self._http), self.workspace, self.tell)
        self.desk = Desk(
            api=self.work.api,
            workspace=self.workspace,
            tell=self.tell,
            now=time.time,
            leave=self.leave,
            choose_theme=self.choose_theme,
            theme=lambda: self.theme,
        )
        self._early_keys = EarlyKeys()
        self._pace = Pace()
        self._due = False
        for each in THEMES:
            self.register_theme(each)
        self._wardrobe = Wardrobe(theme)
        self.theme = self._wardrobe.wanted("")

    @property
    def palette(self) -> Palette:
        """The colours in use."""
        return PALETTES.get(self.theme, DARK)

    def get_default_screen(self) -> MainScreen:
        """Return the one screen."""
        return MainScreen()

    @property
    def main(self) -> MainScreen | None:
        """The main screen once it stands."""
        screen = self.screen_stack[0] if self.screen_stack else None
        return screen if isinstance(screen, MainScreen) and screen.is_mounted else None

    def on_ready(self) -> None:
        """Begin to look for the server, now that something is on screen."""
        for event in self._early_keys.open():
            self.post_message(event)
        self.work.begin(self._begin())
        if os.isatty(0):
            self.set_interval(LOOK_S, self._look_for_terminal)

    def _look_for_terminal(self) -> None:
        if is_gone(0):
            # Nothing can be drawn or asked any more; drivers would wait for an answer for ever.
            os._exit(CODE)

    async def _begin(self) -> None:
        try:
            found = await asyncio.to_thread(self._reach)
            self._http.use(found.url, found.token)
        except Exception as fault:  # noqa: BLE001 - raised again once the terminal is given back
            self.fault = fault
            self.exit(1)
            return
        if complaint := self._wardrobe.take(found):
            self.tell(Told("", "error", complaint))
        self._dress()
        self.work.begin(self.work.start(self.workspace.project_path))
        self.work.begin(_warm_up())

    async def on_unmount(self) -> None:
        """End what runs beside the screen."""
        await self.work.stop()

    def tell(self, outcome: Outcome) -> None:
        """Hand an outcome to the handler."""
        self.post_message(Arrived(outcome))

    def on_arrived(self, message: Arrived) -> None:
        """Reduce an outcome."""
        self.apply(message.outcome)

    def apply(self, outcome: Outcome) -> None:
        """Change the state by one fact and have the screen follow."""
        reduce(self.workspace, outcome)
        self.work.attend()
        self._dress()
        if isinstance(outcome, HistoryLoaded) and not outcome.older:
            gc.freeze()
            if outcome.session_id == self.workspace.active_id:
                # A person waits for it; it comes once, so the pace has nothing to keep here.
                self.call_next(self.show)
                return
        self.schedule()

    def schedule(self) -> None:
        """Bring the state to the screen soon, but not more often than the pace allows."""
        if self._due:
            return
        self._due = True
        self.set_timer(max(0.001, self._pace.delay(time.monotonic())), self.show)

    async def show(self) -> None:
        """Bring the state to the screen now."""
        self._due = False
        if (main := self.main) is None:
            return
        started = time.monotonic()
        await main.sync()
        self._pace.flushed(started, time.monotonic(), _backlog(self._driver))

    def run_command(self, line: str) -> None:
        """Run a command line beside the screen."""
        self.work.begin(dispatch(self.desk, line))

    def choose_theme(self, name: str) -> None:
        """Use other colours from now on, whatever projects ask for."""
        self._wardrobe.choose(name)
        self._dress()

    def _dress(self) -> None:
        """Use the colours of the project on screen, or else the person's."""
        session = self.workspace.active
        wanted = self._wardrobe.wanted(session.theme if session is not None else "")
        if wanted != self.theme:
            self.theme = wanted
            if (main := self.main) is not None:
                main.restyle(self.palette)

    def leave(self) -> None:
        """End the client; sessions go on, but the one opened unasked and never used."""
        self.work.begin(self._leave())

    async def action_quit(self) -> None:
        """Leave, also when Textual's own key asks for it."""
        self.leave()

    async def _leave(self) -> None:
        if unused := await self.work.tidy():
            self.apply(Closing(unused))
            self.apply(SessionGone(unused))
        self.exit(0)

    async def on_event(self, event: events.Event) -> None:
        """Learn what the keyboard can from each key on its way to whoever takes it."""
        if self._early_keys.keep(event):
            return
        if isinstance(event, events.Key) and self.keyboard.saw(event.key):
            self.schedule()
        await super().on_event(event)


def _backlog(driver: Driver | None) -> int:
    """Return how many frames wait for the terminal."""
    writer = getattr(driver, "_writer_thread", None)
    queue = getattr(writer, "_queue", None)
    return queue.qsize() if queue is not None else 0


async def _warm_up() -> None:
    """Load what the first transcript needs while the person reads the first frame."""
    await asyncio.to_thread(importlib.import_module, "tui.render.markdown")


def run(reach: Reach, project_path: str | None, theme: str | None = None) -> int:
    """Show the client until the person leaves; return the exit code.

    Needs a terminal on standard input and output. Says on leaving how to come back. Raises what
    `reach` raises, once the terminal is as it was.
    """
    gc.set_threshold(20_000, 20, 50)
    # The thread that looks for the server loads libraries meanwhile; a key must not wait for it.
    sys.setswitchinterval(0.001)
    app = JidoApp(reach, project_path, theme)
    code = app.run()
    if isinstance(app.fault, NoAddress):
        sys.stderr.write(f"jido-tui: {app.fault} JIDO_URL sets it.\n")
        return 2
    if app.fault is not None:
        raise app.fault
    if app.return_code:
        return app.return_code
    sys.stdout.write(farewell(app.workspace))
    return code or 0


def farewell(workspace: Workspace) -> str:
    """Return the lines printed on leaving: what goes on and how to come back."""
    lines = []
    for session in workspace.order:
        path = workspace.short_path(session.project_path)
        busy = "  (still working)" if session.busy else ""
        lines.append(f"  {workspace.shown_name(session)}{busy}   jido-tui {path}")
    if not lines:
        return "Nothing is open. jido-tui starts again; /resume lists saved sessions.\n"
    return "To come back:\n" + "\n".join(lines) + "\n/resume lists what was saved.\n"
