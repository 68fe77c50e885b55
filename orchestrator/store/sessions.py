"""Records of live sessions, the slots they take and the index of their paths.

Owns atomic claiming and compare-and-set updates. Refuses to decide which state
may follow which: it asks the domain.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Final

from orchestrator.domain.errors import (
    ProjectAlreadyOpen,
    SessionLimitReached,
    SessionNotFound,
    SessionNotReady,
)
from orchestrator.domain.events import NewEvent
from orchestrator.domain.ids import new_id
from orchestrator.domain.session import Session, may_follow
from orchestrator.store import keys
from orchestrator.store.codec import decode_object, encode
from orchestrator.store.connection import Argument, Connection
from orchestrator.store.history import Conversation, conversation_arguments
from orchestrator.store.intents import Desired, SandboxIntent
from orchestrator.store.transaction import (
    OPERATION_LIFETIME_MS,
    StoredSession,
    Transaction,
    channel_arguments,
    commit,
    event_arguments,
    load,
    record_of,
    until_committed,
)

EVENTS_LINGER_MS: Final = 60_000
"""Milliseconds for which the events of a closed session can still be read."""

_NAMED: Final = 10
"""Sessions named in the refusal of one too many."""


class SessionStore:
    """Records of live sessions, and what the supervisor is asked to run for them."""

    def __init__(self, connection: Connection) -> None:
        """Keep records over `connection`."""
        self._connection = connection

    async def claim(
        self,
        session: Session,
        intent: SandboxIntent,
        maximum: int,
        events: list[NewEvent],
        *,
        approval: str | None = None,
        conversation: Conversation | None = None,
        place: str = "",
    ) -> Session:
        """Take a slot and the real path for `session`, write its record and first events.

        `approval` is what the agent may do unasked; None takes the installation's setting.
        `conversation` is what the session begins with; None begins an empty one. `place` is the
        directory's device and inode, which count like its path; empty when they are not known.
        Raises ProjectAlreadyOpen(session_id=) when a live session has the path, one above it or
        one beneath it, and SessionLimitReached(current=, max=, sessions=[{id, name}]) when
        `maximum` are live.
        """
        arguments: list[Argument] = [
            session.id,
            session.project_path,
            maximum,
            record_of(session),
            encode(intent),
            place,
            approval or "",
            OPERATION_LIFETIME_MS,
            *conversation_arguments(conversation),
            *event_arguments(events),
            *channel_arguments(session.id, events, [keys.SUPERVISOR_TOPIC]),
        ]
        names = [
            keys.SESSIONS,
            keys.PATHS,
            keys.CLAIMS,
            keys.session(session.id),
            keys.events(session.id),
            keys.ALL_EVENTS,
            keys.ALL_EVENTS_COUNTER,
            keys.operation(new_id()),
            keys.history(session.id),
            keys.prompts(session.id),
            keys.todos(session.id),
            keys.approval_records(session.id),
            keys.tools(session.id),
        ]
        outcome, *rest = await self._connection.run("claim", names, arguments)
        if outcome == "open":
            owner = await self.find(rest[0])
            raise _already_open(session.project_path, rest[0], owner)
        if outcome == "overlap":
            raise _overlapping(session.project_path, *rest)
        if outcome == "full":
            raise _limit_reached(maximum, rest)
        return await self.get(session.id)

    async def get(self, session_id: str) -> Session:
        """Return one session; raises SessionNotFound."""
        return (await load(self._connection, session_id)).session

    async def approval(self, session_id: str) -> str | None:
        """Return what `claim` was given; None for the installation's setting."""
        return await self._connection.ask("HGET", keys.session(session_id), "approval") or None

    async def find(self, session_id: str) -> Session | None:
        """Return one session, None when it is not live."""
        try:
            return await self.get(session_id)
        except SessionNotFound:
            return None

    async def list(self) -> builtins.list[Session]:
        """Return all live sessions by creation."""
        rows = await self._fields("record", "seq")
        return [
            Session.model_validate_json(record).model_copy(update={"last_seq": int(seq)})
            for record, seq in rows
        ]

    async def update(
        self,
        session_id: str,
        change: Callable[[Session], Session],
        events: Callable[[Session, Session], builtins.list[NewEvent]],
    ) -> Session:
        """Replace the record by `change(record)` and append `events(old, new)` with it.

        Both functions may run several times; they get the record as it is then. Raises
        SessionNotFound, SessionNotReady when the new status may not follow the old one,
        SessionChanged when others never let it through.
        """

        async def story() -> Session:
            stored = await load(self._connection, session_id)
            changed = change(stored.session)
            if not may_follow(stored.session.status, changed.status):
                raise _illegal(stored.session, changed)
            transaction = Transaction.replacing(stored, changed)
            record = transaction.record or changed
            transaction.events = events(stored.session, record)
            last = await commit(self._connection, transaction)
            return record.model_copy(update={"last_seq": last})

        return await until_committed(story)

    async def remove(self, session_id: str, events: builtins.list[NewEvent]) -> bool:
        """Release slot and path, append the last `events`, delete the rest; False when gone.

        The events can be read for another minute.
        """
        names = [
            keys.SESSIONS,
            keys.PATHS,
            keys.session(session_id),
            keys.events(session_id),
            keys.ALL_EVENTS,
            keys.ALL_EVENTS_COUNTER,
            *keys.of_session(session_id),
        ]
        arguments: builtins.list[Argument] = [
            session_id,
            EVENTS_LINGER_MS,
            *event_arguments(events),
            *channel_arguments(session_id, events, [keys.SUPERVISOR_TOPIC]),
        ]
        return bool(await self._connection.run("remove", names, arguments))

    async def intents(self) -> builtins.list[SandboxIntent]:
        """Return what should run, by creation of the sessions."""
        rows = await self._fields("intent")
        return [SandboxIntent.model_validate_json(intent) for (intent,) in rows]

    async def set_desired(self, session_id: str, desired: Desired, bump: bool = False) -> None:
        """Ask for a sandbox to run or not; `bump` asks for a fresh one. Raises SessionNotFound."""

        async def story() -> None:
            stored = await load(self._connection, session_id)
            intent = _changed_intent(stored, desired, bump)
            transaction = Transaction(session_id, stored.version, topics=[keys.SUPERVISOR_TOPIC])
            transaction.write("HSET", keys.session(session_id), "intent", encode(intent))
            await commit(self._connection, transaction)

        await until_committed(story)

    async def _fields(self, *names: str) -> builtins.list[builtins.list[str]]:
        ids = await self._connection.ask("ZRANGE", keys.SESSIONS, 0, -1)
        rows = await self._connection.ask_together(
            [("HMGET", keys.session(session_id), *names) for session_id in ids]
        )
        return [row for row in rows if row[0] is not None]


def _changed_intent(stored: StoredSession, desired: Desired, bump: bool) -> SandboxIntent:
    generation = stored.intent.generation + (1 if bump else 0)
    return stored.intent.model_copy(update={"desired": desired, "generation": generation})


def _already_open(path: str, session_id: str, owner: Session | None) -> ProjectAlreadyOpen:
    name = f"“{owner.name}” ({session_id[:8]})" if owner else session_id
    return ProjectAlreadyOpen(
        f"{path} is already open, in session {name}. Work there, or close it first: "
        f"`jido session close {session_id[:8]}`.",
        session_id=session_id,
    )


def _overlapping(path: str, session_id: str, other: str) -> ProjectAlreadyOpen:
    return ProjectAlreadyOpen(
        f"{path} overlaps with {other}, which is open in session {session_id}: one directory "
        "holds the other, so their sandboxes would share files. Close that session first.",
        session_id=session_id,
        overlaps=other,
    )


def _limit_reached(maximum: int, records: list[str]) -> SessionLimitReached:
    sessions = [
        {"id": record["id"], "name": record["name"]} for record in map(decode_object, records)
    ]
    names = [str(session["name"]) for session in sessions]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return SessionLimitReached(
        f"{len(sessions)} of {maximum} sessions are open: {', '.join(names[:_NAMED])}{more}. "
        "Close one first.",
        current=len(sessions),
        max=maximum,
        sessions=list(sessions),
    )


def _illegal(old: Session, new: Session) -> SessionNotReady:
    return SessionNotReady(
        f"The session is {old.status}; it cannot become {new.status} now.", status=old.status
    )
