"""The turn: one prompt and everything done to answer it.

Owns `TURN_TRANSITIONS`, the only table of legal changes.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

from pydantic import BaseModel, Field

from orchestrator.domain.errors import PromptEmpty, PromptTooLong
from orchestrator.domain.limits import MAX_PROMPT_BYTES
from orchestrator.domain.session import Usage

TurnStatus = Literal[
    "queued", "working", "awaiting_approval", "completed", "failed", "cancelled", "interrupted"
]

TURN_TRANSITIONS: Final[dict[TurnStatus, frozenset[TurnStatus]]] = {
    "queued": frozenset({"working", "failed", "cancelled", "interrupted"}),
    "working": frozenset({"awaiting_approval", "completed", "failed", "cancelled", "interrupted"}),
    "awaiting_approval": frozenset({"working", "failed", "cancelled", "interrupted"}),
    "completed": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
    "interrupted": frozenset(),
}

FINAL_STATUSES: Final[frozenset[TurnStatus]] = frozenset(
    status for status, following in TURN_TRANSITIONS.items() if not following
)


class TurnError(BaseModel):
    """Why a turn failed."""

    code: str
    """A stable code of the error tree."""
    message: str
    """What happened and what to do."""


class TurnLimits(BaseModel):
    """What one turn may do and spend; set by who starts it, for that turn alone."""

    approval: Literal["ask", "edits", "all"] | None = None
    """What the agent may do unasked; None takes the installation's setting."""
    max_model_requests: int | None = Field(default=None, ge=1)
    """Requests to the model; None means no limit."""
    max_cost_usd: float | None = Field(default=None, ge=0)
    """United States dollars; None means no limit, 0 allows only what is free."""


class Turn(BaseModel):
    """One prompt and its answer, exactly as clients see it."""

    id: str
    session_id: str
    status: TurnStatus = "queued"
    prompt: str
    created_at: datetime
    """UTC; when the prompt was accepted."""
    started_at: datetime | None = None
    """UTC; None while queued."""
    finished_at: datetime | None = None
    """UTC; None until the status is final."""
    usage: Usage = Field(default_factory=Usage)
    limits: TurnLimits = Field(default_factory=TurnLimits)
    error: TurnError | None = None
    """None unless failed."""


def turn_may_follow(current: TurnStatus, following: TurnStatus) -> bool:
    """Say whether `following` may replace `current`; staying the same is always legal."""
    return current == following or following in TURN_TRANSITIONS[current]


def validate_prompt(prompt: str) -> str:
    """Return `prompt` unchanged.

    Raises PromptEmpty for white space only, PromptTooLong beyond 100,000 bytes of UTF-8.
    """
    if not prompt.strip():
        raise PromptEmpty("The prompt is empty. Say what should be done.")
    size = len(prompt.encode("utf-8", errors="surrogatepass"))
    if size > MAX_PROMPT_BYTES:
        raise PromptTooLong(
            f"The prompt has {size:,} bytes; at most {MAX_PROMPT_BYTES:,} are allowed. "
            "Put long material into a file of the project and name the file."
        )
    return prompt
