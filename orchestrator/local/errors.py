"""What can go wrong before or while the embedded stack runs.

Unavailable
├── HomeUnusable     $JIDO_HOME cannot be written or belongs to somebody else
├── PortInUse        something else listens there
├── StackRunning     another stack of this home runs; `extra["url"]` when it is known
└── StackFailed      a part of it does not start
"""

from __future__ import annotations

from orchestrator.domain.errors import Unavailable


class HomeUnusable(Unavailable):
    """$JIDO_HOME cannot be written, or belongs to somebody else."""

    code = "home_unusable"
    title = "Home directory unusable"


class PortInUse(Unavailable):
    """Something else listens on the port."""

    code = "port_in_use"
    title = "Port in use"


class StackRunning(Unavailable):
    """Another embedded stack of this home runs."""

    code = "stack_running"
    title = "Stack already running"


class StackFailed(Unavailable):
    """A part of the embedded stack does not start."""

    code = "stack_failed"
    title = "Stack failed to start"
