"""What a transcript is made of.

Owns the kinds of item. An item carries a revision that grows with each change, so that
whoever draws it knows when a drawing is stale.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tui.state.sanitise import StreamSanitiser

ToolStatus = Literal[
    "asked", "running", "ok", "error", "timeout", "cancelled", "denied", "interrupted"
]
Level = Literal["info", "success", "warning", "error"]

MAX_OUTPUT_CHARACTERS = 100_000
"""Characters of a call's live output kept; the beginning is dropped beyond it."""


@dataclass(slots=True, eq=False)
class Item:
    """Anything that takes rows in a transcript."""

    turn_id: str = ""
    """Empty for what belongs to no turn."""
    revision: int = 0

    def touch(self) -> None:
        """Note that the item no longer looks as it was drawn."""
        self.revision += 1


@dataclass(slots=True, eq=False)
class UserText(Item):
    """What the person asked."""

    text: str = ""
    message_id: str = ""


@dataclass(slots=True, eq=False)
class Prose(Item):
    """Words of the model that may still be growing."""

    message_id: str = ""
    reasoning: bool = False
    """True for thought aloud, drawn dim and folded once it is complete."""
    pieces: list[str] = field(default_factory=list)
    """In order of arrival, each sanitised; only ever appended to between two resets."""
    resets: int = 0
    """How often the pieces were replaced as a whole."""
    closed: bool = False
    interrupted: bool = False
    open: bool | None = None
    """The person's choice of folding; None leaves it to the rule."""
    sanitiser: StreamSanitiser = field(default_factory=StreamSanitiser, repr=False)

    @property
    def text(self) -> str:
        """All words so far."""
        return "".join(self.pieces)

    def replace(self, text: str) -> None:
        """Put `text` in place of everything that arrived."""
        self.pieces = [text]
        self.resets += 1
        self.touch()


@dataclass(slots=True, eq=False)
class ToolCall(Item):
    """Something the model did in the sandbox."""

    call_id: str = ""
    name: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    status: ToolStatus = "running"
    output: str = ""
    """Live output, the last MAX_OUTPUT_CHARACTERS."""
    text: str = ""
    """What the model was told; empty while running."""
    started: float = 0.0
    """Seconds since 1970; 0.0 when unknown."""
    elapsed_ms: float | None = None
    """None while running, and for calls of a reloaded transcript."""
    open: bool | None = None
    """The person's choice of folding; None leaves it to the rule: failures stay open."""
    sanitiser: StreamSanitiser = field(default_factory=StreamSanitiser, repr=False)

    @property
    def finished(self) -> bool:
        """Whether the outcome is known."""
        return self.status not in ("asked", "running")

    @property
    def failed(self) -> bool:
        """Whether the outcome is anything but good."""
        return self.finished and self.status != "ok"


@dataclass(slots=True, eq=False)
class ShellRun(Item):
    """A command the person ran in the sandbox with `!` or `/shell`, or a Lua script."""

    run_id: str = ""
    command: str = ""
    output: str = ""
    exit_code: int | None = None
    """None while running."""
    error: str = ""
    """Why it could not run; empty when it did."""
    started: float = 0.0
    elapsed_ms: float | None = None
    open: bool | None = None
    sanitiser: StreamSanitiser = field(default_factory=StreamSanitiser, repr=False)

    @property
    def finished(self) -> bool:
        """Whether the outcome is known."""
        return self.exit_code is not None or bool(self.error)


@dataclass(slots=True, eq=False)
class Notice(Item):
    """One line of the system to the person."""

    level: Level = "info"
    text: str = ""


@dataclass(slots=True, eq=False)
class Note(Item):
    """A longer answer of the client itself, in Markdown."""

    text: str = ""


@dataclass(slots=True, eq=False)
class Patch(Item):
    """A unified diff."""

    text: str = ""
    truncated: bool = False


@dataclass(slots=True, eq=False)
class TurnEnd(Item):
    """How a turn ended."""

    status: str = "completed"
    seconds: float | None = None
    """None when the turn never started or its times are unknown."""
    model: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = None
    error: str = ""
    """What happened and what to do; empty unless failed."""
