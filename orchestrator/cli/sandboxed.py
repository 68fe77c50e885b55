"""What `jido exec` and `jido lua` share: a target, a timeout, a session that goes away again."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from orchestrator.cli.directory import check_project, project_path
from orchestrator.cli.failures import UsageError
from orchestrator.cli.projects import session_for
from orchestrator.cli.server import connect
from orchestrator.domain.limits import MAX_COMMAND_TIMEOUT_S
from orchestrator.local.http import Api
from orchestrator.settings import load_settings


def check_target(project: Path | None, session: str | None) -> None:
    """Refuse both at once; raises UsageError."""
    if project is not None and session is not None:
        raise UsageError("Give either --project or --session, not both.")


def check_timeout(timeout_s: float | None) -> None:
    """Refuse what the server would; raises UsageError."""
    if timeout_s is not None and not 0 < timeout_s <= MAX_COMMAND_TIMEOUT_S:
        raise UsageError(f"--timeout takes seconds above 0, at most {MAX_COMMAND_TIMEOUT_S:g}.")


@contextlib.contextmanager
def in_session(project: Path | None, session: str | None) -> Iterator[tuple[Api, str]]:
    """Yield a server and the id of a ready session there; both are given back afterwards.

    SIGTERM and SIGHUP count as Ctrl+C inside, so that nothing stays behind.
    """
    settings = load_settings()
    if session is None:
        check_project(settings, project_path(project), elsewhere="url" in settings.model_fields_set)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    with connect(settings) as api, session_for(api, project, session) as found:
        yield api, str(found["id"])


def hand_on(stream: str, chunk: bytes) -> None:
    """Write a chunk of the command's output to our own stream, unchanged."""
    descriptor = (sys.stdout if stream == "stdout" else sys.stderr).fileno()
    view = memoryview(chunk)
    while view:
        view = view[os.write(descriptor, view) :]


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
