"""What is known of a command that runs in the background of a session's sandbox.

Owns its shape, how it may be called and why a sandbox may have ended it. Refuses to start, ask
or wait: that is for who reaches the sandbox.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

MAX_KEPT_BYTES: Final = 262_144
"""Bytes of a job's newest output that are kept; older ones are dropped."""

Limit = Literal["memory_limit", "disk_limit"]
"""The limits of a sandbox that end a job."""

_NAME: Final = re.compile(r"job-[1-9][0-9]{0,8}")


def is_job_name(name: str) -> bool:
    """Say whether a job may be called `name`; there need be none."""
    return _NAME.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class Job:
    """One job as the sandbox describes it."""

    name: str
    command: str
    """Its beginning, as it was started; hostile text of any characters."""
    running: bool
    exit_code: int | None
    """128 + n for signal n; None while it runs."""
    stopped: Limit | None
    """The limit that ended it, None for any other end."""


@dataclass(frozen=True, slots=True)
class JobOutput:
    """A job and its output from a position on."""

    job: Job
    data: bytes
    cursor: int
    """The position behind `data`, in bytes since the job began."""
    lost: int
    """Bytes between the position asked for and `data` that are no longer kept."""
