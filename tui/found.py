"""Where the server is and what it takes to use it, as found behind the first frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Found:
    """A server, and what the settings that led to it say of the client."""

    url: str
    token: str
    theme: str | None = None
    """The person's theme; None means the usual one."""
    keeps_theme: bool = False
    """Whether that wins over a project's own."""


Reach = Callable[[], Found]
"""Finds the server, and starts one if need be; called in a thread, may raise anything."""
