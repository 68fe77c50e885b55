"""Events: numbers, streams, replay.

Owns the two streams: one per session, whose numbers have no gaps, and one over
all sessions with numbers of its own. Refuses to guess about what was trimmed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from orchestrator.domain.errors import EventsTrimmed, InvalidArgument
from orchestrator.domain.events import Event, NewEvent
from orchestrator.store import keys
from orchestrator.store.codec import decode_object
from orchestrator.store.connection import Connection
from orchestrator.store.transaction import Transaction, commit, no_session

Row = tuple[str, Mapping[str, str]]


class EventStore:
    """The numbered story of each session, and one stream over all of them."""

    def __init__(self, connection: Connection) -> None:
        """Keep events over `connection`."""
        self._connection = connection

    async def append(self, session_id: str, events: list[NewEvent]) -> int:
        """Append `events` in order, exactly once, and return the last number.

        Raises SessionNotFound when the session is not live.
        """
        return await commit(self._connection, Transaction(session_id, events=events))

    async def append_once(
        self, session_id: str, mark: str, said: str, events: list[NewEvent]
    ) -> None:
        """Append `events` unless the last call with this `mark` also `said` this.

        Made for one writer at a time: two might both append. Raises SessionNotFound.
        """
        key, field = keys.session(session_id), f"said:{mark}"
        if (await self._connection.ask("HGET", key, field) or "") == said:
            return
        transaction = Transaction(session_id, events=events)
        transaction.write("HSET", key, field, said)
        await commit(self._connection, transaction)

    async def read(self, session_id: str, after: int, limit: int) -> list[Event]:
        """Return at most `limit` events with numbers above `after`, in order.

        Raises EventsTrimmed when the next one is no longer kept, SessionNotFound.
        """
        stream = keys.events(session_id)
        oldest, rows = await self._range(stream, after, limit)
        if oldest is None:
            raise no_session(session_id)
        _refuse_trimmed(after, oldest)
        return [_event(session_id, _number(row), row[1]) for row in rows]

    async def read_all(self, after: str | None, limit: int) -> list[tuple[str, Event]]:
        """Return at most `limit` events over all sessions behind cursor `after`, with cursors.

        None starts at the oldest kept. Raises EventsTrimmed when the next one is no longer
        kept, InvalidArgument when `after` is no cursor.
        """
        position = 0 if after is None else _cursor(after)
        oldest, rows = await self._range(keys.ALL_EVENTS, position, limit)
        if after is not None and oldest is not None:
            _refuse_trimmed(position, oldest)
        return [
            (str(_number(row)), _event(row[1]["session"], int(row[1]["seq"]), row[1]))
            for row in rows
        ]

    async def read_types(
        self, after: str, limit: int, types: Collection[str]
    ) -> tuple[str, list[tuple[str, Event]]]:
        """Look at `limit` events behind cursor `after`; return those of `types`.

        With them comes the cursor behind everything looked at. Raises as `read_all`.
        """
        position = _cursor(after)
        oldest, rows = await self._range(keys.ALL_EVENTS, position, limit)
        if oldest is not None:
            _refuse_trimmed(position, oldest)
        wanted = [row for row in rows if decode_object(row[1]["event"]).get("type") in types]
        found = [
            (str(_number(row)), _event(row[1]["session"], int(row[1]["seq"]), row[1]))
            for row in wanted
        ]
        return (str(_number(rows[-1])) if rows else after), found

    async def newest(self) -> str:
        """Return the cursor of the newest event over all sessions: following starts there."""
        return str(await self._connection.ask("GET", keys.ALL_EVENTS_COUNTER) or 0)

    async def last_seq(self, session_id: str) -> int:
        """Return the number of the newest event; raises SessionNotFound."""
        seq, rows = await self._connection.ask_together(
            [
                ("HGET", keys.session(session_id), "seq"),
                ("XREVRANGE", keys.events(session_id), "+", "-", "COUNT", 1),
            ]
        )
        if seq is not None:
            return int(seq)
        if rows:
            return _number(rows[0])
        raise no_session(session_id)

    async def _range(self, stream: str, after: int, limit: int) -> tuple[int | None, list[Row]]:
        first, rows = await self._connection.ask_together(
            [
                ("XRANGE", stream, "-", "+", "COUNT", 1),
                ("XRANGE", stream, f"({max(after, 0)}-0", "+", "COUNT", limit),
            ]
        )
        return (_number(first[0]) if first else None), rows


def _refuse_trimmed(after: int, oldest: int) -> None:
    if after + 1 < oldest:
        raise EventsTrimmed(
            f"Events up to {oldest - 1} are no longer kept. Load the transcript, then follow "
            f"from {oldest - 1}.",
            oldest=oldest,
        )


def _cursor(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise InvalidArgument("The cursor is not one that this server gave. Start without it.")
    return int(text)


def _number(row: Row) -> int:
    return int(row[0].partition("-")[0])


def _event(session_id: str, seq: int, fields: Mapping[str, str]) -> Event:
    stored = decode_object(fields["event"])
    return Event.model_validate({**stored, "session_id": session_id, "seq": seq})
