"""The project a command works on, and the session for it.

Owns that a session opened for a command is closed again.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from orchestrator.cli.directory import project_path
from orchestrator.cli.http import DeadlinePassed, EventFollower
from orchestrator.domain.errors import JidoError, Unavailable
from orchestrator.domain.targets import Named, find_live
from orchestrator.local.http import Api
from orchestrator.wire.problems import Problem

START_S = 90.0
"""Seconds a session may take to become ready."""
CLOSE_S = 30.0
"""Seconds a session may take to close."""


class SessionFailed(Unavailable):
    """The session's sandbox did not start."""

    code = "session_failed"
    title = "Session failed to start"


@contextlib.contextmanager
def session_for(api: Api, project: Path | None, session: str | None) -> Iterator[dict[str, Any]]:
    """Yield a ready session: the one named, the one open on the project, or a new one.

    A new one is closed afterwards, unsaved.
    """
    if session is not None:
        yield find_session(api, session)
        return
    path = project_path(project)
    open_sessions = api.call("GET", "/v1/sessions")["items"]
    real = os.path.realpath(path)
    for candidate in open_sessions:
        if candidate["project_path"] in {path, real}:
            yield candidate
            return
    created = api.call("POST", "/v1/sessions", {"project_path": path})
    try:
        yield wait_session(api, created)
    finally:
        close_session(api, created["id"], save=False)


def find_session(api: Api, target: str) -> dict[str, Any]:
    """Return the live session that a person means; raises what `find_live` raises."""
    items: list[dict[str, Any]] = api.call("GET", "/v1/sessions")["items"]
    return find_live(target, items, lambda item: Named(item["id"], item["name"]))


def wait_session(
    api: Api, session: dict[str, Any], told: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """Wait until a session is ready and return it; its notices meanwhile go to `told`.

    Raises SessionFailed.
    """
    if session["status"] == "ready":
        return session
    follower = EventFollower(api, session["id"])
    if session["status"] == "restarting":
        # What was told of an earlier sandbox says nothing about this one.
        follower.seq = session["last_seq"]
    try:
        for event in follower.follow(time.monotonic() + START_S):
            if event["type"] == "notice" and told is not None:
                told(str(event["data"].get("text", "")))
            if event["type"] == "session.ready":
                break
            if event["type"] in {"session.failed", "session.closed"}:
                raise SessionFailed(failure_of(event))
    except DeadlinePassed:
        raise SessionFailed(f"The sandbox was not ready after {START_S:.0f} seconds.") from None
    current: dict[str, Any] = api.call("GET", f"/v1/sessions/{quote(session['id'])}")
    return current


def wait_or_close(api: Api, session: dict[str, Any], told: Callable[[str], None]) -> dict[str, Any]:
    """Wait as `wait_session` does; a session that does not become ready is closed again."""
    ready = False
    try:
        waited = wait_session(api, session, told)
        ready = True
        return waited
    finally:
        if not ready:
            close_session(api, session["id"], save=False)


def failure_of(event: dict[str, Any]) -> str:
    """Return why a session ended, from its event."""
    reason = event["data"].get("session", {}).get("error")
    return str(reason or "The session was closed by somebody else.")


def close_session(api: Api, session_id: str, *, save: bool) -> None:
    """Close a session; gone is success, and an unreachable server closes it later itself."""
    with contextlib.suppress(JidoError):
        try:
            flag = "true" if save else "false"
            api.call("DELETE", f"/v1/sessions/{session_id}?save={flag}", timeout_s=CLOSE_S)
        except Problem as problem:
            if problem.status not in {404, 409}:
                raise
