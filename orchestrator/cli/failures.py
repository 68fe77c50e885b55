"""Exit codes, and how a failure becomes one line and one of them.

Owns the numbers that scripts rely on. Refuses tracebacks: what cannot be explained
is still one line.
"""

from __future__ import annotations

import os
import sys
from typing import Final

from orchestrator.domain.errors import (
    Conflict,
    InvalidRequest,
    JidoError,
    NotFound,
)

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
NEEDS_APPROVAL: Final = 3
BUDGET: Final = 4
TIMEOUT: Final = 5
INFRASTRUCTURE: Final = 6
COMMAND_TIMEOUT: Final = 124
"""`jido exec` and `jido lua`: the command took too long."""
OWN_FAILURE: Final = 125
"""`jido exec` and `jido lua`: we failed, not the command."""
CANCELLED: Final = 130


class UsageError(InvalidRequest):
    """The command line asks for something that cannot be meant."""

    code = "usage"
    title = "Usage"


def complain(text: str) -> None:
    """Write one line to standard error, whatever `text` holds."""
    line = " ".join(text.split())
    cleaned = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)
    try:
        print(f"jido: {cleaned}", file=sys.stderr, flush=True)
    except OSError:
        return


def code_of(error: JidoError) -> int:
    """Return the exit code of a failure outside a turn."""
    status = getattr(error, "status", None)
    if isinstance(error, InvalidRequest) or status in {400, 413, 422}:
        return USAGE
    if isinstance(error, NotFound | Conflict) or status in {404, 409, 410}:
        return FAILED
    return INFRASTRUCTURE


def explain(error: JidoError) -> str:
    """Return what happened and what to do, in one line."""
    code = getattr(error, "problem_code", error.code)
    if code == "unauthorized" and "JIDO_TOKEN" not in error.detail:
        return (
            f"{error.detail} Set JIDO_TOKEN, or JIDO_HOME to the home whose token file "
            "belongs to that server."
        )
    return error.detail


def unexpected(error: BaseException) -> str:
    """Return one line for a failure that nobody foresaw; the traceback is for debugging alone."""
    if os.environ.get("JIDO_LOG_LEVEL") == "debug":
        import traceback

        traceback.print_exception(error)
    return (
        f"Unexpected failure, {type(error).__name__}: {str(error)[:300]} "
        "(JIDO_LOG_LEVEL=debug shows where)."
    )
