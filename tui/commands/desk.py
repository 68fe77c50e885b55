"""What a command has at hand.

Owns the seam between commands and the screen: calls out, facts back, three effects.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tui.client import Api
from tui.commands.parse import UsageError
from tui.state.items import Level
from tui.state.outcomes import Outcome, Told
from tui.state.session import SessionState
from tui.state.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Desk:
    """The tools of a command; it reads `workspace` and changes it only by telling."""

    api: Api
    workspace: Workspace
    tell: Callable[[Outcome], None]
    now: Callable[[], float]
    """Seconds since 1970."""
    leave: Callable[[], None]
    """Ends the client."""
    choose_theme: Callable[[str], None]
    theme: Callable[[], str]
    """Name of the theme in use."""

    def session(self) -> SessionState:
        """Return the session on screen; raises UsageError when there is none."""
        active = self.workspace.active
        if active is None:
            raise UsageError("No session is open. /session new opens this directory.")
        return active

    def say(self, text: str, level: Level = "success") -> None:
        """Tell the person one line."""
        self.tell(Told(self.workspace.active_id, level, text))

    def explain(self, markdown: str) -> None:
        """Tell the person something longer."""
        self.tell(Told(self.workspace.active_id, "info", markdown, markdown=True))


def find_session(workspace: Workspace, target: str) -> SessionState:
    """Return the session meant by a tab's digit, a name, its beginning, or an identifier.

    Raises UsageError, listing the candidates when several are meant.
    """
    order = workspace.order
    exact = [s for s in order if target in (s.id, s.name)]
    if len(exact) == 1:
        return exact[0]
    if target.isdecimal() and len(target) <= 2:
        session = workspace.at(0 if int(target) == 10 else int(target))
        if session is not None and int(target) <= 10:
            return session
    wanted = target.casefold()
    found = exact or [s for s in order if s.name.casefold() == wanted]
    found = found or [s for s in order if s.name.casefold().startswith(wanted)]
    found = found or [s for s in order if len(target) >= 4 and s.id.startswith(target)]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(f"{workspace.number_of(s)}:{s.name}" for s in found)
        raise UsageError(f"“{target}” may be any of {names}. Use the number.")
    raise UsageError(f"No session is called “{target}”. /session list shows all.")
