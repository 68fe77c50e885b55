"""Bodies of HTTP requests and answers.

Owns their exact shapes; unknown fields of a request are refused. The shapes of
records (`Session`, `Turn`, `Message`, `Event`, `Todo`) are the domain's own.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from orchestrator.domain.models import ConfigChange, SessionConfig
from orchestrator.domain.session import Session, Usage
from orchestrator.domain.turn import TurnLimits

Item = TypeVar("Item")


class Body(BaseModel):
    """A request body; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _holds_characters_only(cls, data: Any) -> Any:
        """Refuse halves of surrogate pairs: JSON can spell them, nothing can store them."""
        waiting = [data]
        while waiting:
            value = waiting.pop()
            if isinstance(value, str) and not _is_encodable(value):
                raise ValueError("text holds half of a surrogate pair, which is no character")
            if isinstance(value, dict):
                waiting += [*value.keys(), *value.values()]
            elif isinstance(value, list):
                waiting += value
        return data


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class Page(BaseModel, Generic[Item]):
    """A list, oldest first unless its call says otherwise."""

    items: list[Item]
    next: str | None = None
    """Cursor of the following page; None at the end."""


class CreateSession(Body):
    """`POST /v1/sessions`."""

    project_path: str | None = None
    name: str | None = None
    """None takes the directory's name."""
    config: ConfigChange | None = None
    """Laid over the settings that apply to the project."""


class UpdateSession(Body):
    """`PATCH /v1/sessions/{id}`."""

    name: str | None = None
    config: ConfigChange | None = None


class StartTurn(Body):
    """`POST /v1/sessions/{id}/turns`."""

    prompt: str
    approval: Literal["ask", "edits", "all"] | None = None
    """What the agent may do unasked in this turn; None takes the installation's setting."""
    max_model_requests: int | None = Field(default=None, ge=1, le=1_000_000)
    """Requests to the model; None means no limit."""
    max_cost_usd: float | None = Field(default=None, ge=0)
    """United States dollars; None means no limit."""

    @property
    def limits(self) -> TurnLimits:
        """What of this is kept with the turn."""
        return TurnLimits(
            approval=self.approval,
            max_model_requests=self.max_model_requests,
            max_cost_usd=self.max_cost_usd,
        )


class AnswerApproval(Body):
    """`POST …/turns/{turn}/approvals/{call}`."""

    decision: Literal["once", "session", "deny"]
    reason: str | None = Field(default=None, max_length=2000)
    """Told to the model when denied."""


class Execute(Body):
    """`POST /v1/sessions/{id}/exec`."""

    command: list[str] | str
    """A list is run as it is; a string by the sandbox's shell."""
    timeout_s: float | None = Field(default=None, gt=0, le=3600)
    """Seconds; None takes 120."""


class RunLua(Body):
    """`POST /v1/sessions/{id}/lua`: either `script`, or `tool` with its `arguments`."""

    script: str | None = None
    """Lua source; None when a tool is called."""
    tool: str | None = None
    """One of the project's own tools; None when a script is run."""
    arguments: dict[str, Any] | None = None
    """Of the tool; None means none."""
    timeout_s: float | None = Field(default=None, gt=0, le=3600)
    """Seconds; None takes 30."""
    reset: bool = False
    """Whether globals of earlier scripts are forgotten first."""

    @model_validator(mode="after")
    def _asks_for_one_thing(self) -> RunLua:
        if (self.script is None) is (self.tool is None):
            raise ValueError("give either a script or a tool")
        if self.script is not None and self.arguments is not None:
            raise ValueError("arguments belong to a tool")
        return self


class ToolInfo(BaseModel):
    """One file of the project's own tools."""

    name: str
    trusted: bool
    """Whether the user accepted exactly this content."""
    description: str | None = None
    """None when the tool cannot be used: nothing of it is run then."""
    parameters: dict[str, Any] | None = None
    """JSON Schema of its arguments; None when the tool cannot be used."""
    reason: str | None = None
    """Why the tool cannot be used and what to do; None when it can."""


class LuaError(BaseModel):
    """Why a script failed."""

    code: str
    message: str


class LuaOutcome(BaseModel):
    """What a script returned and printed."""

    ok: bool
    value: Any = None
    output: str = ""
    error: LuaError | None = None
    elapsed_ms: float


class ResumeSession(Body):
    """`POST /v1/saved/{id}/resume`."""

    project_path: str | None = None
    """Where the project is now; None takes the saved path."""
    replaces: str | None = None
    """A live session that is closed first if it has that path and nothing was said in it."""


class Saved(BaseModel):
    """`POST /v1/sessions/{id}/save`."""

    id: str
    name: str
    saved: bool
    """False when nothing was said yet."""
    file: str | None = None
    """Where the record is, on the server's machine; None when there is none."""
    detail: str
    """What happened, for a person."""


class SavedSession(BaseModel):
    """The header of a saved session."""

    id: str
    name: str
    project_path: str
    language: str | None = None
    config: SessionConfig
    created_at: datetime
    updated_at: datetime
    closed_at: datetime | None = None
    """None when it was autosaved and never closed."""
    messages: int
    turns: int
    usage: Usage
    size_bytes: int
    error: str | None = None
    """Code of what is wrong with the file; None when it can be resumed."""
    detail: str | None = None
    """What is wrong with it and what to do; None when it can be resumed."""


class FileHit(BaseModel):
    """A file name that matches a query."""

    path: str
    """Relative to the project."""
    score: float


class FileChange(BaseModel):
    """One changed file."""

    path: str
    status: Literal["added", "modified", "deleted", "renamed"]


class DiffWarning(BaseModel):
    """Something to look at before using git in the project."""

    code: Literal["repository_made", "repository_changed", "gitlink_added"]
    path: str
    """Relative to the project."""
    text: str
    """One line for people."""


class Diff(BaseModel):
    """Changes since the session began."""

    files: list[FileChange]
    text: str
    """Unified diff; empty without a repository."""
    truncated: bool = False
    warnings: list[DiffWarning] = Field(default_factory=list)
    """Repositories inside the project that the session made or changed."""


class ModelInfo(BaseModel):
    """A model that can be chosen."""

    id: str
    """`provider:model`."""
    available: bool
    """Whether its provider is configured here."""
    reason: str | None = None
    """What is missing when it is not available."""


class Models(BaseModel):
    """`GET /v1/models`."""

    items: list[ModelInfo]
    default: str
    """`provider:model` that new sessions start with."""
    next: str | None = None


class Health(BaseModel):
    """`GET /healthz` and `/readyz`."""

    status: Literal["ok", "unavailable"]
    checks: dict[str, str] = Field(default_factory=dict)
    """Part of the system to `ok` or what is wrong with it."""


def session_summary(session: Session) -> dict[str, Any]:
    """Return `{id, name}`, as named in the refusal of one session too many."""
    return {"id": session.id, "name": session.name}
