"""`$JIDO_HOME/stack.json`: which stack of this home runs, and whether it really does.

Owns its form. A process counts as the one written down only when its start time
agrees, so that a reused process number never passes for a stack.
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from orchestrator.settings import Settings

_MAX_STATE_BYTES: Final = 65_536


@dataclass(frozen=True)
class StackState:
    """A running stack, as others find it."""

    pid: int
    """Process that starts and watches the children."""
    started: int
    """Start time of that process in clock ticks since boot."""
    url: str
    """Where its api answers."""
    control: str
    """Unix socket by which clients say that they use it."""
    version: str
    """Version of the program that started it."""


def state_path(settings: Settings) -> Path:
    """Return where the state of this home's stack is kept."""
    return settings.home / "stack.json"


def write_state(settings: Settings, state: StackState) -> None:
    """Replace the state, at once or not at all."""
    path = state_path(settings)
    temporary = path.with_name(f".stack-{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(asdict(state), file)
    temporary.replace(path)


def remove_state(settings: Settings) -> None:
    """Remove the state; gone is success."""
    state_path(settings).unlink(missing_ok=True)


def read_state(settings: Settings) -> StackState | None:
    """Return the running stack of this home; None when none runs."""
    try:
        with state_path(settings).open("rb") as file:
            values = json.loads(file.read(_MAX_STATE_BYTES))
        state = StackState(**values)
    except (OSError, ValueError, TypeError):
        return None
    return state if is_alive(state) else None


def is_alive(state: StackState) -> bool:
    """Say whether the very process that wrote `state` still runs."""
    return process_start(state.pid) == state.started


def process_start(pid: int) -> int | None:
    """Return the start time of `pid` in clock ticks since boot; None when it does not run."""
    fields = _stat_fields(pid)
    if fields is None or fields[0] in {"Z", "X"}:
        return None
    return int(fields[19])


def session_members(session: int) -> list[int]:
    """Return the processes whose process session is `session`, zombies left out."""
    members = []
    for entry in os.listdir("/proc"):
        if not entry.isdecimal():
            continue
        fields = _stat_fields(int(entry))
        if fields is not None and fields[0] not in {"Z", "X"} and int(fields[3]) == session:
            members.append(int(entry))
    return members


def _stat_fields(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat after the command name, state first."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()
