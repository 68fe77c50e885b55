"""What the scripted model server answers, and to which request.

A script is JSON, or these classes:

    {"rules": [{"match": "part of the prompt", "replies": [REPLY, …]}], "replies": [REPLY, …]}

    REPLY = {"text": …, "reasoning": …, "calls": [{"name": …, "arguments": {…}}],
             "delay_s": 0, "chunk_delay_s": 0, "break_after": null,
             "failures": [{"status": 429, "retry_after": 1, "message": …}]}

Which reply comes is found from the request alone: the rule by the newest
prompt, the place in it by how often the model answered since. Failures come
first, each once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Call(_Part):
    """A tool the model asks for."""

    name: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    raw_arguments: str | None = None
    """Sent as they are instead of `arguments`; for what is no JSON."""


class Failure(_Part):
    """An HTTP error in place of an answer."""

    status: int
    message: str = "scripted failure"
    code: str | None = None
    retry_after: float | None = None
    """Seconds in the Retry-After header; None sends none."""
    drop: bool = False
    """Close the connection without an answer; `status` is ignored."""


class Reply(_Part):
    """One answer of the model."""

    text: str = ""
    reasoning: str = ""
    """Streamed where the protocol has a place for it."""
    calls: list[Call] = Field(default_factory=list)
    delay_s: float = 0.0
    """Seconds before anything is sent."""
    chunk_delay_s: float = 0.0
    """Seconds between two chunks of a stream."""
    break_after: int | None = None
    """Chunks after which the connection is dropped; None sends everything."""
    failures: list[Failure] = Field(default_factory=list)
    input_tokens: int = 11
    output_tokens: int = 7

    def chunks(self) -> list[str]:
        """Return the text in words, each with its space."""
        words = self.text.split(" ")
        return [w if i == 0 else f" {w}" for i, w in enumerate(words)] if self.text else []


class Rule(_Part):
    """Replies to prompts that contain `match`."""

    match: str
    replies: list[Reply]


class Script(_Part):
    """Everything the server knows."""

    rules: list[Rule] = Field(default_factory=list)
    replies: list[Reply] = Field(default_factory=lambda: [Reply(text="Scripted answer.")])
    """For prompts that match no rule."""

    @classmethod
    def load(cls, path: Path) -> Script:
        """Read a script; raises ValidationError naming what is wrong."""
        return cls.model_validate_json(path.read_bytes())

    def choose(self, prompt: str, answered: int) -> Reply:
        """Return the reply to `prompt` after `answered` answers; the last one repeats."""
        replies = next((rule.replies for rule in self.rules if rule.match in prompt), self.replies)
        return replies[min(answered, len(replies) - 1)]
