"""What a conversation's record is made of, and what an approval asks and answers.

Owns the pairing of what a reader sees with what the model is sent, and of a question
with its answer. Refuses to know the agent library: its messages are JSON objects here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from orchestrator.domain.message import Message

Decision = Literal["once", "session", "deny"]


class HistoryEntry(BaseModel):
    """One step of a conversation, in both forms."""

    message: Message | None = None
    """What the reader sees; None for a step that only the model is sent."""
    model: dict[str, Any] | None = None
    """The agent library's own message as a JSON object; None for a step only the reader sees."""


class PendingApproval(BaseModel):
    """A tool call that waits for the user's word."""

    model_config = ConfigDict(frozen=True)

    call_id: str
    tool: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    reason: str | None = None
    """Why it needs approval; None when nothing is to be said."""
    grant: str | None = Field(default=None, exclude_if=lambda value: value is None)
    """What the answer `session` allows; None means every later call of the tool of this name."""


class Answer(BaseModel):
    """What the user decided about one call."""

    model_config = ConfigDict(frozen=True)

    decision: Decision
    """once: this call; session: this tool for the session's life; deny: not this call."""
    reason: str | None = None
    """Told to the model when denied; None says only that it was denied."""


class ApprovalRecord(BaseModel):
    """One question to the user and, once there is one, the answer."""

    model_config = ConfigDict(frozen=True)

    turn_id: str
    call_id: str
    tool: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    reason: str | None = None
    """Why it was asked; None when nothing was to be said."""
    decision: Decision | None = None
    """None while it waits, and when its turn ended before an answer."""
    answer_reason: str | None = None
    """What the user said with the answer."""


def asked_record(turn_id: str, approval: PendingApproval) -> ApprovalRecord:
    """Return the record of a question."""
    return ApprovalRecord(turn_id=turn_id, **approval.model_dump())


def answered_record(record: ApprovalRecord, answer: Answer) -> ApprovalRecord:
    """Return the record of a question with its answer."""
    return record.model_copy(update={"decision": answer.decision, "answer_reason": answer.reason})


def folded(records: Iterable[ApprovalRecord]) -> list[ApprovalRecord]:
    """Return each question once, in the order asked, as the last record about it says."""
    last: dict[tuple[str, str], ApprovalRecord] = {}
    for record in records:
        last[record.turn_id, record.call_id] = record
    return list(last.values())
