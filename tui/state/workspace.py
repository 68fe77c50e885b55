"""All tabs together.

Owns their order, which one is shown, and what belongs to none of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrator.domain.names import shown_names
from tui.state.session import SessionState, Waiting
from tui.state.transcript import Transcript


@dataclass(slots=True)
class Saved:
    """A session on disk."""

    id: str
    name: str
    project_path: str
    updated: float
    """Seconds since 1970."""
    turns: int
    error: str = ""
    """Why it cannot be resumed; empty when it can."""


@dataclass(slots=True)
class Question:
    """Something the client itself asks before it does what cannot be undone."""

    text: str
    command: str
    """The command line that a yes runs."""


@dataclass(slots=True)
class Workspace:
    """The state of the client."""

    project_path: str = ""
    """Where the client was started; empty when it was told none."""
    home: str = ""
    """The person's home directory, written `~`."""
    sessions: dict[str, SessionState] = field(default_factory=dict)
    """By identifier, in the order of the tabs."""
    active_id: str = ""
    """The session on screen; empty when there is none."""
    saved: list[Saved] = field(default_factory=list)
    """Sessions on disk as shown last, newest first; empty when numbers mean nothing yet."""
    offer: Saved | None = None
    """A saved session of this project that could be resumed now."""
    question: Question | None = None
    closing: set[str] = field(default_factory=set)
    """Sessions that this client is closing itself."""
    replacing: str = ""
    """The session whose tab waits for another one; empty when none does."""
    server: str = "connecting"
    """connecting, ready, or waiting."""
    fault: str = ""
    """Why the server is not reached or a start failed; empty when all is well."""
    early: list[Waiting] = field(default_factory=list)
    """Prompts typed before there was a session."""
    lobby: Transcript = field(default_factory=Transcript)
    """What was told while no session was open."""
    revision: int = 0
    """Grows with any change."""

    @property
    def active(self) -> SessionState | None:
        """The session on screen."""
        return self.sessions.get(self.active_id)

    @property
    def offered(self) -> Saved | None:
        """The offer where it belongs: on its own project, as long as nothing was said there."""
        offer, session = self.offer, self.active
        if offer is None or session is None:
            return offer
        return offer if session.empty and session.project_path == offer.project_path else None

    @property
    def order(self) -> list[SessionState]:
        """Sessions in the order of their tabs."""
        return list(self.sessions.values())

    def shown_name(self, session: SessionState) -> str:
        """Return a session's name as its tab shows it, kept apart from equal ones."""
        names = shown_names(each.name for each in self.sessions.values())
        return names[list(self.sessions).index(session.id)]

    def at(self, number: int) -> SessionState | None:
        """Return the session of tab `number`, where 0 is the tenth."""
        index = 9 if number == 0 else number - 1
        order = self.order
        return order[index] if 0 <= index < len(order) else None

    def number_of(self, session: SessionState) -> int:
        """Return the digit of a session's tab; the tenth is 0, anything beyond -1."""
        place = list(self.sessions).index(session.id) + 1
        return place % 10 if place <= 10 else -1

    def short_path(self, path: str) -> str:
        """Return `path` with the home directory written `~`."""
        if self.home and (path == self.home or path.startswith(self.home + "/")):
            return "~" + path[len(self.home) :]
        return path
