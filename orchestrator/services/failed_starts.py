"""Sessions whose sandbox never started: they stand in nobody's way.

Owns that such a session gives slot and path back to whoever needs them. Until then it stays
to be seen, with the reason, and can be restarted or closed. Refuses to touch one that was ready
once: something may have been said in it.
"""

from __future__ import annotations

import time
from typing import Final

from orchestrator.domain.errors import SessionNotFound, SessionNotReady
from orchestrator.domain.paths import is_beneath
from orchestrator.domain.session import Session
from orchestrator.services.clock import now
from orchestrator.store.facade import Store

GONE_TIMEOUT_S: Final = 10.0
"""Seconds the supervisor may take to remove what has no sandbox."""

_LOOK_AGAIN_S: Final = 0.5


async def give_way(store: Store, path: str | None) -> bool:
    """Remove sessions that never started, those around `path`, or one of all when it is None.

    False when there is none.
    """
    failed = [each for each in await store.sessions.list() if never_started(each)]
    if path is None:
        failed = failed[:1]
    else:
        failed = [each for each in failed if _overlap(each.project_path, path)]
    for each in failed:
        await _remove(store, each.id)
    return bool(failed)


def never_started(session: Session) -> bool:
    """Say whether a session failed before its sandbox was ever ready."""
    return session.status == "failed" and session.runtime is None


def _overlap(one: str, other: str) -> bool:
    return is_beneath(one, other) or is_beneath(other, one)


async def _remove(store: Store, session_id: str) -> None:
    try:
        await store.sessions.update(session_id, _closing, lambda _, __: [])
        await store.sessions.set_desired(session_id, "stopped")
    except (SessionNotFound, SessionNotReady):
        return
    deadline = time.monotonic() + GONE_TIMEOUT_S
    with store.signals.watch(f"session:{session_id}") as watch:
        while await store.sessions.find(session_id) is not None:
            left = deadline - time.monotonic()
            if left <= 0:
                return
            await watch.wait(min(left, _LOOK_AGAIN_S))


def _closing(session: Session) -> Session:
    if not never_started(session):
        raise SessionNotReady("The session is being started again.")
    return session.model_copy(update={"status": "closing", "updated_at": now()})
