"""How a headless turn ended: its status, its exit code and the object that says so.

Owns the shape of the line of type `result`.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from orchestrator.cli import failures
from orchestrator.cli.failures import UsageError

OutcomeStatus = Literal[
    "done", "failed", "needs_approval", "budget", "timeout", "infrastructure", "cancelled"
]

_EXIT_CODES: Final[dict[OutcomeStatus, int]] = {
    "done": failures.DONE,
    "failed": failures.FAILED,
    "needs_approval": failures.NEEDS_APPROVAL,
    "budget": failures.BUDGET,
    "timeout": failures.TIMEOUT,
    "infrastructure": failures.INFRASTRUCTURE,
    "cancelled": failures.CANCELLED,
}


@dataclass
class Outcome:
    """What is known about a headless turn, filled in while it runs."""

    status: OutcomeStatus = "infrastructure"
    session_id: str | None = None
    """None when no session came to be."""
    turn_id: str | None = None
    """None when no turn was accepted."""
    text: str = ""
    """The answer."""
    usage: dict[str, Any] = field(
        default_factory=lambda: {"input_tokens": 0, "output_tokens": 0, "cost_usd": None}
    )
    files_changed: list[str] = field(default_factory=list)
    """Relative to the project, sorted."""
    warnings: list[str] = field(default_factory=list)
    """Lines about what the user should look at before using git in the project."""
    error: str | None = None
    """One line for people; None when done."""

    @property
    def exit_code(self) -> int:
        """Exit code of the command."""
        return _EXIT_CODES[self.status]

    def line(self) -> dict[str, Any]:
        """Return the object of type `result`."""
        values: dict[str, Any] = {
            "type": "result",
            "status": self.status,
            "session_id": self.session_id,
            "turn_id": self.turn_id,
            "text": self.text,
            "usage": self.usage,
            "files_changed": self.files_changed,
            "exit_code": self.exit_code,
        }
        if self.warnings:
            values["warnings"] = self.warnings
        return values if self.error is None else {**values, "error": self.error}


def check_result_file(path: Path) -> None:
    """Refuse a result file that could not be written at the end; raises UsageError."""
    directory = path.parent
    if path.is_dir():
        raise UsageError(f"--result {path} is a directory. Name a file.")
    if not directory.is_dir() or not os.access(directory, os.W_OK):
        raise UsageError(f"--result {path} cannot be written: its directory is not writable.")


def write_result(path: Path, outcome: Outcome) -> None:
    """Replace `path` by the result, at once or not at all; raises UsageError."""
    temporary = path.with_name(f".{path.name[:200]}.{secrets.token_hex(6)}")
    try:
        with temporary.open("x") as file:
            file.write(json.dumps(outcome.line(), ensure_ascii=False) + "\n")
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise UsageError(f"--result {path} cannot be written: {error.strerror}.") from error
