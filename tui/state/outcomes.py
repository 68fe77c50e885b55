"""What happened, as told to the reducer.

Owns the closed set of facts that change the client's state, whoever learned them: the
event stream, a call that came back, or the keyboard.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tui.state.items import Item, Level
from tui.state.session import Link, Task
from tui.state.workspace import Saved

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Streamed:
    """Events of one session, in order."""

    session_id: str
    events: Sequence[Json]


@dataclass(frozen=True, slots=True)
class SessionsListed:
    """All live sessions; those no longer named are gone, those not yet known appear."""

    records: Sequence[Json]


@dataclass(frozen=True, slots=True)
class SessionOpened:
    """A session that exists now."""

    record: Json
    focus: bool = True
    replaces: str = ""
    """Identifier of the session whose tab it takes; empty for a new tab."""


@dataclass(frozen=True, slots=True)
class SessionAppeared:
    """A session that somebody opened; nothing when it is known already."""

    record: Json


@dataclass(frozen=True, slots=True)
class Closing:
    """This client itself closes a session, so that its end is no news."""

    session_id: str
    begun: bool = True
    """False when it came to nothing."""


@dataclass(frozen=True, slots=True)
class Replacing:
    """A session's tab waits for the session that takes its place."""

    session_id: str
    """Empty when that came to nothing."""


@dataclass(frozen=True, slots=True)
class SessionChanged:
    """A newer record of a session."""

    record: Json


@dataclass(frozen=True, slots=True)
class SessionGone:
    """A session that exists no more."""

    session_id: str


@dataclass(frozen=True, slots=True)
class HistoryLoaded:
    """A page of messages, oldest first."""

    session_id: str
    messages: Sequence[Json]
    older: bool = False
    """True when it goes in front of what stands there; False replaces everything."""
    after: int = 0
    """Events up to this number are part of it; unused for an older page."""


@dataclass(frozen=True, slots=True)
class TasksLoaded:
    """The model's task list."""

    session_id: str
    tasks: Sequence[Task]


@dataclass(frozen=True, slots=True)
class TurnsLoaded:
    """The turn under way and those that wait behind it."""

    session_id: str
    turns: Sequence[Json]


@dataclass(frozen=True, slots=True)
class LinkChanged:
    """The state of a session's event stream."""

    session_id: str
    link: Link
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ServerChanged:
    """Whether the server answers."""

    server: str
    fault: str = ""


@dataclass(frozen=True, slots=True)
class SavedListed:
    """Sessions on disk, as shown to the person or to make an offer of."""

    saved: Sequence[Saved]
    offer: str = ""
    """Real path of the project whose newest one is offered; empty to offer none."""


@dataclass(frozen=True, slots=True)
class OfferDismissed:
    """The person does not want the offered session, or has it."""


@dataclass(frozen=True, slots=True)
class Focused:
    """Another tab is shown."""

    session_id: str


@dataclass(frozen=True, slots=True)
class PromptTyped:
    """The person sent a prompt."""

    session_id: str
    """Empty when there is no session yet."""
    key: str
    text: str


@dataclass(frozen=True, slots=True)
class PromptAccepted:
    """The server took a prompt."""

    session_id: str
    key: str
    turn: Json


@dataclass(frozen=True, slots=True)
class PromptRefused:
    """The server will not take a prompt; it returns to the draft."""

    session_id: str
    key: str
    detail: str


@dataclass(frozen=True, slots=True)
class Cancelling:
    """The person asked the turn to stop."""

    session_id: str


@dataclass(frozen=True, slots=True)
class Answering:
    """An answer to an ask is on its way."""

    session_id: str
    call_id: str


@dataclass(frozen=True, slots=True)
class AnswerFailed:
    """An answer to an ask was not taken."""

    session_id: str
    call_id: str
    detail: str
    over: bool = False
    """True when it was already answered elsewhere."""


@dataclass(frozen=True, slots=True)
class Told:
    """A line or a longer answer for the person."""

    session_id: str
    """Empty for the tab on screen."""
    level: Level
    text: str
    markdown: bool = False


@dataclass(frozen=True, slots=True)
class Shown:
    """An item made by the client itself, such as a diff."""

    session_id: str
    item: Item


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A command of the person began."""

    session_id: str
    run_id: str
    command: str
    started: float


@dataclass(frozen=True, slots=True)
class RunOutput:
    """Output of a command of the person."""

    session_id: str
    run_id: str
    piece: str


@dataclass(frozen=True, slots=True)
class RunEnded:
    """A command of the person ended."""

    session_id: str
    run_id: str
    exit_code: int | None
    error: str
    elapsed_ms: float


@dataclass(frozen=True, slots=True)
class Asked:
    """The client asks before it does what cannot be undone."""

    text: str
    command: str


@dataclass(frozen=True, slots=True)
class QuestionClosed:
    """The client's own question was answered."""


@dataclass(frozen=True, slots=True)
class Folded:
    """The person folded or unfolded an item."""

    session_id: str
    item: Item
    now_open: bool


Outcome = (
    Streamed
    | SessionsListed
    | SessionOpened
    | SessionAppeared
    | Closing
    | Replacing
    | SessionChanged
    | SessionGone
    | HistoryLoaded
    | TasksLoaded
    | TurnsLoaded
    | LinkChanged
    | ServerChanged
    | SavedListed
    | OfferDismissed
    | Focused
    | PromptTyped
    | PromptAccepted
    | PromptRefused
    | Cancelling
    | Answering
    | AnswerFailed
    | Told
    | Shown
    | RunStarted
    | RunOutput
    | RunEnded
    | Asked
    | QuestionClosed
    | Folded
)
