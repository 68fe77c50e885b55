"""One tab: a session as the client knows it.

Owns the record, its transcript, what waits to be sent and what waits for an answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tui.state import fields
from tui.state.items import UserText
from tui.state.transcript import Transcript

Link = Literal["connecting", "live", "waiting", "refused", "gone"]


@dataclass(slots=True)
class Usage:
    """Tokens and money of a session."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = None
    """None when the price is not known."""


@dataclass(slots=True)
class Ask:
    """A call that waits for the person."""

    turn_id: str
    call_id: str
    tool: str
    arguments: Mapping[str, Any]
    reason: str
    answering: bool = False
    """True once an answer is on its way."""
    error: str = ""
    """Why the last answer was not taken; empty when none failed."""


@dataclass(slots=True)
class Waiting:
    """A prompt not yet accepted by the server."""

    key: str
    """Idempotency key: sent again, it gives the same turn."""
    text: str


@dataclass(slots=True)
class Queued:
    """A prompt that the server accepted and has not started."""

    turn_id: str
    text: str


@dataclass(slots=True)
class Task:
    """One entry of the model's task list."""

    content: str
    status: str


@dataclass(slots=True)
class SessionState:
    """Everything one tab shows."""

    id: str
    name: str = ""
    project_path: str = ""
    status: str = "starting"
    activity: str = "idle"
    runtime: str = ""
    error: str = ""
    provider: str = ""
    model: str = ""
    temperature: float | None = None
    max_tokens: int | None = None
    usage: Usage = field(default_factory=Usage)
    turns: int = 0
    last_seq: int = 0
    """Number of the newest event that is part of this state."""
    theme: str = ""
    """Colours that the project asks for; empty when it names none."""
    created: float = 0.0
    """Seconds since 1970."""
    transcript: Transcript = field(default_factory=Transcript)
    loaded: bool = False
    """Whether the transcript's newest page has arrived."""
    queue: list[Queued] = field(default_factory=list)
    outbox: list[Waiting] = field(default_factory=list)
    asks: list[Ask] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)
    turn_id: str = ""
    """The turn under way; empty when none is."""
    turn_started: float = 0.0
    cancelling: bool = False
    unread: int = 0
    """Messages completed while the tab was hidden."""
    warned: bool = False
    """Whether its sandbox met a limit or ended while the tab was hidden."""
    link: Link = "connecting"
    link_detail: str = ""
    draft: str = ""
    """What stands in the prompt while another tab is shown."""
    replaced: str = ""
    """The session whose tab and draft it took; empty when it has a tab of its own."""
    history: list[str] = field(default_factory=list)
    """Prompts of this session, oldest first."""

    @property
    def qualified_model(self) -> str:
        """`provider:model`."""
        return f"{self.provider}:{self.model}" if self.provider else ""

    @property
    def offline(self) -> bool:
        """Whether the built-in demonstration model answers."""
        return self.provider == "offline"

    @property
    def empty(self) -> bool:
        """Whether nothing was ever said to the model here."""
        said = any(isinstance(item, UserText) for item in self.transcript.items)
        return not (said or self.outbox or self.queue or self.turns)

    @property
    def busy(self) -> bool:
        """Whether a turn is under way or waits for the person."""
        return self.activity != "idle" or bool(self.turn_id)

    def take_record(self, record: Mapping[str, Any]) -> None:
        """Copy what a session record says; its `last_seq` is not an event seen."""
        self.name = fields.label(record, "name", self.name)
        self.project_path = fields.label(record, "project_path", self.project_path)
        self.status = fields.label(record, "status", self.status)
        self.activity = fields.label(record, "activity", self.activity)
        self.runtime = fields.label(record, "runtime", self.runtime)
        self.error = fields.label(record, "error")
        self.turns = fields.integer(record, "turns", self.turns)
        self.theme = fields.label(record, "theme", self.theme)
        self.created = fields.seconds(record, "created_at") or self.created
        if config := fields.mapping(record, "config"):
            self.provider = fields.label(config, "provider", self.provider)
            self.model = fields.label(config, "model", self.model)
            self.temperature = fields.number(config, "temperature")
            self.max_tokens = fields.integer(config, "max_tokens") or None
        if usage := fields.mapping(record, "usage"):
            self.take_usage(usage)

    def take_usage(self, usage: Mapping[str, Any]) -> None:
        """Copy tokens and money of the whole session."""
        self.usage = Usage(
            fields.integer(usage, "input_tokens"),
            fields.integer(usage, "output_tokens"),
            fields.number(usage, "cost_usd"),
        )

    def remember(self, prompt: str) -> None:
        """Add a prompt to the history, moving a repeated one to its end."""
        if prompt in self.history:
            self.history.remove(prompt)
        self.history.append(prompt)
        del self.history[:-200]
