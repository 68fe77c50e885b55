"""Changes to one session that happen together or not at all.

Owns optimistic concurrency: a story reads, decides in Python by the domain's
rules, and commits against the version it read; when somebody was faster it
starts again. A commit whose reply was lost is recognised when it is repeated,
so that no event is ever written twice.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from orchestrator.domain.errors import SessionChanged, SessionNotFound
from orchestrator.domain.events import NewEvent
from orchestrator.domain.ids import new_id
from orchestrator.domain.limits import ALL_EVENTS_KEPT, EVENTS_KEPT
from orchestrator.domain.session import Session
from orchestrator.store import keys
from orchestrator.store.codec import encode, utc_now
from orchestrator.store.connection import Argument, Connection
from orchestrator.store.intents import SandboxIntent

Outcome = TypeVar("Outcome")

_ATTEMPTS: Final = 200
"""Times a story starts again before it gives up."""
OPERATION_LIFETIME_MS: Final = 120_000
"""Milliseconds for which a repeated commit is recognised; longer than PATIENCE_S."""


class VersionChanged(Exception):
    """Somebody else changed the session between reading and committing."""


@dataclass(frozen=True)
class StoredSession:
    """A session as stored, with what only the store needs."""

    session: Session
    version: int
    intent: SandboxIntent
    active: str | None
    """Id of the active turn; None when idle."""
    cancelled: str | None
    """Id of the turn whose cancel waits for its worker; None for none."""


@dataclass
class Transaction:
    """One set of changes under way."""

    session_id: str
    version: int | None = None
    """Version that must still be the session's; None for changes that exclude nobody."""
    record: Session | None = None
    """New record; None leaves it."""
    events: list[NewEvent] = field(default_factory=list)
    topics: list[str] = field(default_factory=list)
    """Topics to wake besides those of the events."""
    writes: list[tuple[Argument, ...]] = field(default_factory=list)

    @classmethod
    def replacing(cls, stored: StoredSession, record: Session) -> Transaction:
        """Start one that puts `record`, moved to the present, in place of `stored`."""
        moved = record.model_copy(update={"updated_at": utc_now()})
        return cls(record.id, stored.version, moved)

    def write(self, *command: Argument) -> None:
        """Add a command that cannot fail on the kind of key it names."""
        self.writes.append(command)


def no_session(session_id: str) -> SessionNotFound:
    """Return the error for a session that is not live."""
    return SessionNotFound(
        f"No live session has the id {session_id[:36]}. List the sessions to see which do."
    )


def event_arguments(events: list[NewEvent]) -> list[Argument]:
    """Return the arguments that `append_events` of the scripts takes."""
    time = utc_now()
    encoded = [encode({"type": e.type, "time": time, "data": e.data}) for e in events]
    return [EVENTS_KEPT, ALL_EVENTS_KEPT, len(events), *encoded]


def channel_arguments(session_id: str, events: list[NewEvent], topics: list[str]) -> list[Argument]:
    """Return the arguments that `publish_news` of the scripts takes."""
    woken = [*topics]
    if events:
        woken += [keys.session_topic(session_id), keys.ALL_TOPIC]
    return [len(woken), *(keys.channel(topic) for topic in woken)]


def record_of(session: Session) -> bytes:
    """Return what is stored of `session`; its `last_seq` has a counter of its own."""
    return encode(session.model_dump(mode="json", exclude={"last_seq"}))


async def load(connection: Connection, session_id: str) -> StoredSession:
    """Read one session; raises SessionNotFound."""
    fields = await connection.ask("HGETALL", keys.session(session_id))
    if not fields:
        raise no_session(session_id)
    session = Session.model_validate_json(fields["record"])
    return StoredSession(
        session=session.model_copy(update={"last_seq": int(fields["seq"])}),
        version=int(fields["version"]),
        intent=SandboxIntent.model_validate_json(fields["intent"]),
        active=fields.get("active") or None,
        cancelled=fields.get("cancelled") or None,
    )


async def commit(connection: Connection, transaction: Transaction) -> int:
    """Apply `transaction` and return the number of the session's newest event.

    Raises SessionNotFound when the session is gone, VersionChanged when it moved on.
    """
    session_id, version, record = transaction.session_id, transaction.version, transaction.record
    arguments: list[Argument] = [
        session_id,
        "" if version is None else version,
        "" if record is None else record_of(record),
        OPERATION_LIFETIME_MS,
        len(transaction.writes),
    ]
    for command in transaction.writes:
        arguments += [len(command), *command]
    arguments += event_arguments(transaction.events)
    arguments += channel_arguments(session_id, transaction.events, transaction.topics)
    names = [
        keys.session(session_id),
        keys.events(session_id),
        keys.ALL_EVENTS,
        keys.ALL_EVENTS_COUNTER,
        keys.operation(new_id()),
    ]
    outcome, last = await connection.run("transaction", names, arguments)
    if outcome == "gone":
        raise no_session(session_id)
    if outcome == "changed":
        raise VersionChanged
    return int(last)


async def until_committed(story: Callable[[], Awaitable[Outcome]]) -> Outcome:
    """Run `story` again while others are faster; raises SessionChanged when that has no end."""
    for attempt in range(_ATTEMPTS):
        try:
            return await story()
        except VersionChanged:
            await asyncio.sleep(random.random() * min(0.02, 0.001 * attempt))
    raise SessionChanged("The session is being changed by too many at once. Try again.")
