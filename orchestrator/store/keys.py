"""Names of keys, channels and topics: every one that the store uses is built here.

Owns the prefix `jido:`. Scripts build the few names that they only learn while
running by the same pattern. Not made for Redis Cluster: a story touches the
keys of one session and those over all sessions together.
"""

from __future__ import annotations

from typing import Final

from orchestrator.domain.errors import SessionNotFound
from orchestrator.domain.ids import is_id

SESSIONS: Final = "jido:sessions"
"""Sorted set: ids of live sessions by order of creation."""
PATHS: Final = "jido:paths"
"""Hash: real project path to session id."""
CLAIMS: Final = "jido:claims"
"""Counter: claims ever granted; the order of creation."""
ALL_EVENTS: Final = "jido:events"
"""Stream: events over all sessions."""
ALL_EVENTS_COUNTER: Final = "jido:events:counter"
"""Counter: events over all sessions, ever."""
REQUESTS: Final = "jido:requests"
"""List: requests that wait for the supervisor."""

ALL_TOPIC: Final = "all"
"""Any event of any session was appended."""
SUPERVISOR_TOPIC: Final = "supervisor"
"""An intent changed."""


def session(session_id: str) -> str:
    """Hash: record, version, seq, path, intent, approval, active turn, cancelled turn, said:*.

    Raises SessionNotFound for anything that is no identifier, so that a name from
    outside never becomes another key.
    """
    if not is_id(session_id):
        raise SessionNotFound("No live session has this id. List the sessions to see which do.")
    return f"jido:session:{session_id}"


def events(session_id: str) -> str:
    """Stream: numbered events of a session."""
    return f"{session(session_id)}:events"


def history(session_id: str) -> str:
    """List: entries of the conversation."""
    return f"{session(session_id)}:history"


def prompts(session_id: str) -> str:
    """List: prompts, oldest first."""
    return f"{session(session_id)}:prompts"


def todos(session_id: str) -> str:
    """String: task list as JSON."""
    return f"{session(session_id)}:todos"


def turns(session_id: str) -> str:
    """Hash: turn id to turn."""
    return f"{session(session_id)}:turns"


def pending(session_id: str) -> str:
    """List: ids of turns that wait, next first."""
    return f"{session(session_id)}:pending"


def idempotency(session_id: str) -> str:
    """Hash: digest of an idempotency key to turn id."""
    return f"{session(session_id)}:idempotency"


def idempotency_order(session_id: str) -> str:
    """List: digests of idempotency keys, oldest first."""
    return f"{session(session_id)}:idempotency_order"


def tools(session_id: str) -> str:
    """Set: tools allowed for the session's life."""
    return f"{session(session_id)}:tools"


def approval_records(session_id: str) -> str:
    """List: every question to the user and every answer, as they came; those of before a
    resume first.
    """
    return f"{session(session_id)}:approval_records"


def approvals(session_id: str, turn_id: str) -> str:
    """Hash: call id to what is asked."""
    return f"{session(session_id)}:approvals:{turn_id}"


def answers(session_id: str, turn_id: str) -> str:
    """Hash: call id to what was answered."""
    return f"{session(session_id)}:answers:{turn_id}"


def of_session(session_id: str) -> list[str]:
    """Every key that dies with a session; `turns` first, the record and the events excepted."""
    builders = (turns, history, prompts, todos, pending, idempotency, idempotency_order, tools)
    return [build(session_id) for build in (*builders, approval_records)]


def lease(turn_id: str) -> str:
    """String: worker that holds a turn; expires."""
    return f"jido:lease:{turn_id}"


def operation(operation_id: str) -> str:
    """String: outcome of a transaction, for its repetition; expires."""
    return f"jido:operation:{operation_id}"


def reply(request_id: str) -> str:
    """List: the one answer to a request; expires."""
    return f"jido:reply:{request_id}"


def presence(kind: str) -> str:
    """String: what a process announced; expires."""
    return f"jido:presence:{kind}"


def rate(name: str) -> str:
    """Sorted set: uses of a rate limit; expires."""
    return f"jido:rate:{name}"


def session_topic(session_id: str) -> str:
    """Topic: an event of this session was appended."""
    return f"session:{session_id}"


def turn_topic(turn_id: str) -> str:
    """Topic: this turn was cancelled or got an answer."""
    return f"turn:{turn_id}"


def channel(topic: str) -> str:
    """Pub/sub channel of a topic."""
    return f"jido:news:{topic}"
