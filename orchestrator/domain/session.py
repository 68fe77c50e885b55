"""The session: its record, its states and which state may follow which.

Owns `SESSION_TRANSITIONS`, the only table of legal changes. Refuses storage:
`orchestrator.store.sessions` keeps records and asks this module first.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from orchestrator.domain.models import SessionConfig

SessionStatus = Literal["starting", "ready", "restarting", "failed", "closing"]
Activity = Literal["idle", "working", "awaiting_approval"]
RuntimeName = Literal["docker", "bubblewrap", "kubernetes"]

SESSION_TRANSITIONS: Final[dict[SessionStatus, frozenset[SessionStatus]]] = {
    "starting": frozenset({"ready", "failed", "closing"}),
    "ready": frozenset({"restarting", "failed", "closing"}),
    "restarting": frozenset({"ready", "failed", "closing"}),
    "failed": frozenset({"restarting", "closing"}),
    # Closing is given up when the session cannot be saved.
    "closing": frozenset({"ready", "failed"}),
}


class Usage(BaseModel):
    """Tokens and money spent."""

    model_config = ConfigDict(frozen=True)

    input_tokens: int = 0
    """Tokens sent to the model."""
    output_tokens: int = 0
    """Tokens the model wrote."""
    cost_usd: float | None = None
    """United States dollars; None when the price of the model is not known, 0.0 when it is free."""

    def plus(self, other: Usage) -> Usage:
        """Return the sum; a cost is None only when both are."""
        costs = [u.cost_usd for u in (self, other) if u.cost_usd is not None]
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cost_usd=sum(costs) if costs else None,
        )


class Session(BaseModel):
    """One live work-session, exactly as clients see it."""

    id: str
    """UUID version 4."""
    name: str
    """What the tab shows; unique only in display."""
    project_path: str
    """Real, absolute path of the project on the host."""
    config: SessionConfig
    status: SessionStatus = "starting"
    activity: Activity = "idle"
    runtime: RuntimeName | None = None
    """None until a sandbox has started once."""
    language: str | None = None
    """Main language by marker files; None when no marker was found."""
    theme: str | None = None
    """Colours that the project's own settings ask for; None when they name none."""
    created_at: datetime
    """UTC."""
    updated_at: datetime
    """UTC; moved by every change of the record."""
    usage: Usage = Field(default_factory=Usage)
    turns: int = 0
    """Turns ever accepted in this session."""
    last_seq: int = 0
    """Number of the newest event."""
    error: str | None = None
    """Why the status is failed; None otherwise."""


def may_follow(current: SessionStatus, following: SessionStatus) -> bool:
    """Say whether `following` may replace `current`; staying the same is always legal."""
    return current == following or following in SESSION_TRANSITIONS[current]
