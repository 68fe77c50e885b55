"""What a command has at hand.

Owns the seam between commands and the screen: calls out, facts back, three effects.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.domain.targets import Named, find_live
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
    """Return the open session meant; raises what `find_live` raises."""
    return find_live(target, workspace.order, lambda session: Named(session.id, session.name))
