"""The conversation of each session, its prompts and its task list.

Owns their order and paging. An entry is stored as two lines of JSON, what the
reader sees and what the model is sent, so that either is read without the other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import TypeAdapter

from orchestrator.domain.errors import InvalidArgument
from orchestrator.domain.events import NewEvent
from orchestrator.domain.history import ApprovalRecord, HistoryEntry, folded
from orchestrator.domain.message import Message, Todo
from orchestrator.domain.session import Session
from orchestrator.store import keys
from orchestrator.store.codec import decode_object, encode
from orchestrator.store.connection import Argument, Connection
from orchestrator.store.transaction import Transaction, commit, no_session
from orchestrator.wire.bodies import Page

PROMPTS_KEPT: Final = 1000
"""Prompts remembered per session; the oldest are dropped."""
_CHUNK: Final = 500
"""Elements of one push: a script can pass only a few thousand arguments at once."""
_TODOS: Final = TypeAdapter(list[Todo])


class HistoryStore:
    """The conversation, prompts and task list of each session."""

    def __init__(self, connection: Connection) -> None:
        """Keep histories over `connection`."""
        self._connection = connection

    async def append(
        self, session_id: str, entries: list[HistoryEntry], events: list[NewEvent]
    ) -> None:
        """Append entries and events together or not at all; raises SessionNotFound."""
        transaction = Transaction(session_id, events=events)
        _push(transaction, keys.history(session_id), [encode_entry(entry) for entry in entries])
        await commit(self._connection, transaction)

    async def messages(self, session_id: str, before: str | None, limit: int) -> Page[Message]:
        """Return the newest `limit` messages before the cursor, oldest first.

        `before` None starts at the end; `next` of the page leads to older ones. An unknown
        session has no messages. Raises InvalidArgument when `before` is no cursor.
        """
        count = await self.count(session_id)
        end = count if before is None else min(_cursor(before), count)
        found: list[tuple[int, Message]] = []
        while end > 0 and len(found) < limit:
            start = max(0, end - max(limit, 1))
            rows = await self._rows(session_id, start, end)
            seen = [(start + i, _message(row)) for i, row in enumerate(rows)]
            found = [(i, message) for i, message in seen if message is not None] + found
            end = start
        kept = found[-limit:] if limit > 0 else []
        older = bool(kept) and (end > 0 or len(found) > len(kept))
        return Page(items=[m for _, m in kept], next=str(kept[0][0]) if older else None)

    async def model_messages(self, session_id: str) -> list[dict[str, Any]]:
        """Return what the model is sent, oldest first."""
        models = (_model(row) for row in await self._rows(session_id, 0, 0))
        return [model for model in models if model is not None]

    async def snapshot(self, session_id: str) -> tuple[Session, Conversation]:
        """Return the record and all that was said, of one moment; raises SessionNotFound."""
        record, entries, prompts, todos, approvals, tools = await self._connection.ask_together(
            [
                ("HMGET", keys.session(session_id), "record", "seq"),
                ("LRANGE", keys.history(session_id), 0, -1),
                ("LRANGE", keys.prompts(session_id), 0, -1),
                ("GET", keys.todos(session_id)),
                ("LRANGE", keys.approval_records(session_id), 0, -1),
                ("SMEMBERS", keys.tools(session_id)),
            ]
        )
        if record[0] is None:
            raise no_session(session_id)
        session = Session.model_validate_json(record[0])
        return session.model_copy(update={"last_seq": int(record[1])}), Conversation(
            entries=[HistoryEntry(message=_message(row), model=_model(row)) for row in entries],
            prompts=[_PROMPT.validate_json(row) for row in prompts],
            todos=_TODOS.validate_json(todos) if todos else [],
            approvals=folded(map(ApprovalRecord.model_validate_json, approvals)),
            allowed_tools=sorted(tools),
        )

    async def count(self, session_id: str) -> int:
        """Return how many entries the conversation has; 0 for an unknown session."""
        return int(await self._connection.ask("LLEN", keys.history(session_id)))

    async def set_todos(self, session_id: str, todos: list[Todo], events: list[NewEvent]) -> None:
        """Replace the task list, together with `events`; raises SessionNotFound."""
        transaction = Transaction(session_id, events=events)
        transaction.write("SET", keys.todos(session_id), encode(todos))
        await commit(self._connection, transaction)

    async def todos(self, session_id: str) -> list[Todo]:
        """Return the task list; empty for an unknown session."""
        text = await self._connection.ask("GET", keys.todos(session_id))
        return _TODOS.validate_json(text) if text else []

    async def _rows(self, session_id: str, start: int, end: int) -> list[str]:
        rows: list[str] = await self._connection.ask(
            "LRANGE", keys.history(session_id), start, end - 1
        )
        return rows


_PROMPT: Final = TypeAdapter(str)


@dataclass(frozen=True)
class Conversation:
    """All that was said and decided in a session, and all that a resumed one begins with."""

    entries: list[HistoryEntry]
    prompts: list[str]
    """Oldest first."""
    todos: list[Todo]
    approvals: list[ApprovalRecord] = field(default_factory=list)
    """Questions to the user, with their answers, in order."""
    allowed_tools: list[str] = field(default_factory=list)
    """Tools that the user allowed for the session's life."""


def conversation_arguments(conversation: Conversation | None) -> list[Argument]:
    """Return a conversation as the lists that `claim.lua` takes, in its order."""
    if conversation is None:
        return [0] * 5
    lists: list[list[bytes]] = [
        [encode_entry(entry) for entry in conversation.entries],
        [encode(prompt) for prompt in conversation.prompts],
        [encode(conversation.todos)],
        [encode(record) for record in conversation.approvals],
        [name.encode("utf-8", errors="replace") for name in conversation.allowed_tools],
    ]
    arguments: list[Argument] = []
    for values in lists:
        arguments += [len(values), *values]
    return arguments


def encode_entry(entry: HistoryEntry) -> bytes:
    """Return `entry` as stored."""
    return encode(entry.message) + b"\n" + encode(entry.model)


def _push(transaction: Transaction, key: str, values: list[bytes]) -> None:
    for start in range(0, len(values), _CHUNK):
        chunk: list[Argument] = list(values[start : start + _CHUNK])
        transaction.write("RPUSH", key, *chunk)


def _message(row: str) -> Message | None:
    text = row.partition("\n")[0]
    return None if text == "null" else Message.model_validate_json(text)


def _model(row: str) -> dict[str, Any] | None:
    text = row.partition("\n")[2]
    return None if text == "null" else decode_object(text)


def _cursor(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 12):
        raise InvalidArgument("The cursor is not one that this server gave. Start without it.")
    return int(text)
