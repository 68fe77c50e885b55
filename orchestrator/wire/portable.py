"""A session as one portable document, and everything an imported one may hold.

Owns the strict form: unknown fields, identifiers of another form, control characters in
what is shown as a name, and counts beyond what a session can have are refused. Its
version is that of saved files. Words themselves are free: they are shown as hostile.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from orchestrator.domain.history import ApprovalRecord
from orchestrator.domain.limits import MAX_PROMPT_BYTES
from orchestrator.domain.message import (
    ImagePart,
    Message,
    ReasoningPart,
    TextPart,
    Todo,
    ToolCallPart,
    ToolResultPart,
)
from orchestrator.domain.models import SessionConfig
from orchestrator.domain.session import Usage

VERSION: Final = 2
"""Version of documents written; that of the saved files they are made from."""

MAX_MESSAGES: Final = 200_000
"""Messages of one document, and entries of its model history."""
MAX_PARTS: Final = 10_000
"""Parts of one message."""
MAX_PROMPTS: Final = 1000
"""Entries of the prompt history; a session keeps no more."""
MAX_APPROVALS: Final = 2000
"""Questions to the user; a session keeps no more."""
MAX_TODOS: Final = 10_000
"""Entries of the task list."""
MAX_LABEL_CHARACTERS: Final = 1000
"""Characters of an identifier or name that a model chose."""
_MAX_TOKENS: Final = 10**15

_EARLIEST, _LATEST = datetime(1970, 1, 2, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)


def _in_utc(moment: datetime) -> datetime:
    known = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    if not _EARLIEST <= known <= _LATEST:
        raise ValueError("the time lies too far away")
    return known.astimezone(UTC)


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("control characters are not allowed here")
    return text


def _one_prompt(text: str) -> str:
    if len(text.encode("utf-8", errors="surrogatepass")) > MAX_PROMPT_BYTES:
        raise ValueError(f"a prompt has at most {MAX_PROMPT_BYTES:,} bytes")
    return text


Moment = Annotated[datetime, AfterValidator(_in_utc)]
Identifier = Annotated[
    str,
    StringConstraints(
        pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
    ),
]
Label = Annotated[
    str, StringConstraints(max_length=MAX_LABEL_CHARACTERS), AfterValidator(_printable)
]
Tokens = Annotated[int, Field(ge=0, le=_MAX_TOKENS)]

_STRICT: Final = ConfigDict(extra="forbid")


class PortableText(TextPart):
    """Words for the reader."""

    model_config = _STRICT


class PortableReasoning(ReasoningPart):
    """What the model thought aloud."""

    model_config = _STRICT


class PortableCall(ToolCallPart):
    """A tool the model asked for."""

    model_config = _STRICT

    call_id: Label
    name: Label


class PortableResult(ToolResultPart):
    """What a tool answered."""

    model_config = _STRICT

    call_id: Label


class PortableImage(ImagePart):
    """A picture kept elsewhere."""

    model_config = _STRICT

    media_type: Label
    ref: Label


PortablePart = Annotated[
    PortableText | PortableReasoning | PortableCall | PortableResult | PortableImage,
    Field(discriminator="type"),
]


class PortableMessage(Message):
    """One message as clients see it."""

    model_config = _STRICT

    id: Identifier
    turn_id: Identifier
    time: Moment
    parts: Annotated[list[PortablePart], Field(max_length=MAX_PARTS)]  # type: ignore[assignment]


class PortableTodo(Todo):
    """One entry of the task list."""

    model_config = _STRICT

    id: Label


class PortableApproval(ApprovalRecord):
    """One question to the user and, once there is one, the answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    turn_id: Identifier
    call_id: Label
    tool: Label


class PortableConfig(SessionConfig):
    """Which model a session uses and how it samples."""

    provider: Label
    model: Label


class PortableUsage(Usage):
    """Tokens and money spent."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input_tokens: Tokens = 0
    output_tokens: Tokens = 0
    cost_usd: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None


class Portable(BaseModel):
    """A session as one portable document, both ways."""

    model_config = _STRICT

    format: Literal["jido-session"]
    version: Literal[2]
    """Lower ones are brought to this one when they are imported."""
    id: Label
    """Kept by an import when it is free, else replaced."""
    name: str
    """1 to 50 printable characters."""
    project_path: str
    """Absolute; an import can name another."""
    language: Label | None = None
    config: PortableConfig
    created_at: Moment
    updated_at: Moment
    closed_at: Moment | None = None
    usage: PortableUsage
    turns: Annotated[int, Field(ge=0, le=_MAX_TOKENS)]
    messages: Annotated[list[PortableMessage], Field(max_length=MAX_MESSAGES)]
    model_history: Annotated[list[dict[str, Any]], Field(max_length=MAX_MESSAGES)]
    """The conversation in the agent library's own form, so that it reaches the model again."""
    todos: Annotated[list[PortableTodo], Field(max_length=MAX_TODOS)] = Field(default_factory=list)
    prompt_history: Annotated[
        list[Annotated[str, AfterValidator(_one_prompt)]], Field(max_length=MAX_PROMPTS)
    ] = Field(default_factory=list)
    """Oldest first."""
    approvals: Annotated[list[PortableApproval], Field(max_length=MAX_APPROVALS)] = Field(
        default_factory=list
    )
    """What the user was asked, and answered; a tool allowed for that session is not allowed by it
    in the imported one."""
