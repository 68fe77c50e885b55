"""Messages of a conversation and tasks of a task list, as clients see them.

Owns the shapes; what the model itself is sent is kept beside them by the agent.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

ToolStatus = Literal["ok", "error", "timeout", "cancelled", "denied", "interrupted"]


class TextPart(BaseModel):
    """Words for the reader."""

    type: Literal["text"] = "text"
    text: str


class ReasoningPart(BaseModel):
    """What the model thought aloud."""

    type: Literal["reasoning"] = "reasoning"
    text: str


class ToolCallPart(BaseModel):
    """A tool the model asked for."""

    type: Literal["tool_call"] = "tool_call"
    call_id: str
    name: str
    arguments: dict[str, Any]


class ToolResultPart(BaseModel):
    """What a tool answered."""

    type: Literal["tool_result"] = "tool_result"
    call_id: str
    status: ToolStatus
    text: str


class ImagePart(BaseModel):
    """A picture kept elsewhere."""

    type: Literal["image"] = "image"
    media_type: str
    ref: str


Part = Annotated[
    TextPart | ReasoningPart | ToolCallPart | ToolResultPart | ImagePart,
    Field(discriminator="type"),
]


class Message(BaseModel):
    """One message. Results of tools form an assistant message of their own after their calls."""

    id: str
    turn_id: str
    role: Literal["user", "assistant"]
    time: datetime
    """UTC; when the message was complete."""
    interrupted: bool = False
    """True when the message stopped before its end."""
    parts: list[Part]


class Todo(BaseModel):
    """One entry of the task list."""

    id: str
    content: str
    status: Literal["pending", "in_progress", "completed", "cancelled"] = "pending"
    active_form: str = ""
    """The entry as an activity, shown while in progress; empty shows the content."""
