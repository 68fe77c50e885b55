"""What to do about one session, decided from what is wanted and what is seen.

Owns the table; everything here is pure. Refuses memory of earlier decisions:
the same sight always gives the same answer, so that a lost wake-up, a repeated
one or a new supervisor change nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, Literal

from orchestrator.domain.session import Session
from orchestrator.store.intents import SandboxIntent

Action = Literal["nothing", "start", "replace", "adopt", "crash", "stop", "remove", "reopen"]
"""
start: make the first sandbox. replace: end what is there and make a fresh one.
adopt: serve a sandbox of an earlier process. crash: it ended unasked.
stop: end a sandbox that nobody wants, keeping the record. remove: end it and forget the session.
reopen: whoever was closing the session is gone before it was saved; it lives on.
"""

CLOSING_TIMEOUT: Final = timedelta(seconds=120)
"""How long a session may be closing before that counts as abandoned; saving takes far less."""


def decide(
    intent: SandboxIntent,
    session: Session,
    *,
    served: int | None,
    ended: bool,
    now: datetime,
) -> Action:
    """Return what brings the session closer to what is wanted.

    `served` is the generation whose channel this process serves, None when it serves none;
    `ended` says that a sandbox was seen to end unasked.
    """
    if intent.desired == "stopped":
        return "remove"
    if session.status == "closing":
        return "reopen" if now - session.updated_at > CLOSING_TIMEOUT else "nothing"
    if session.status == "failed":
        return "nothing" if served is None else "stop"
    if session.status == "starting":
        return "start"
    if session.status == "restarting":
        return "replace"
    if ended:
        return "crash"
    if served is None:
        return "adopt"
    return "replace" if served < intent.generation else "nothing"
