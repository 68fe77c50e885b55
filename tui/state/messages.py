"""How a complete message becomes items of a transcript.

Owns the same reading for messages of the stream and of a loaded page.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, get_args

from tui.state import fields
from tui.state.items import ToolStatus
from tui.state.session import SessionState
from tui.state.transcript import Transcript

Json = Mapping[str, Any]

_STATUSES = frozenset(get_args(ToolStatus))


def add_message(session: SessionState, message: Json) -> None:
    """Add a message of the stream to the transcript and what follows from it."""
    put_message(session.transcript, message)
    if fields.raw(message, "role") == "user":
        session.remember(_words(message))
    else:
        session.unread += 1


def load_messages(session: SessionState, messages: Iterable[Json]) -> Transcript:
    """Return a transcript made of `messages`, oldest first."""
    transcript = Transcript()
    for message in messages:
        put_message(transcript, message)
        if fields.raw(message, "role") == "user":
            session.remember(_words(message))
    return transcript


def put_message(transcript: Transcript, message: Json) -> None:
    """Add one message; repeating it changes nothing."""
    message_id, turn_id = fields.raw(message, "id"), fields.raw(message, "turn_id")
    parts = fields.objects(message, "parts")
    if fields.raw(message, "role") == "user":
        _put_user(transcript, message_id, turn_id, _words(message))
        return
    words = [
        (fields.raw(part, "type") == "reasoning", fields.raw(part, "text"))
        for part in parts
        if fields.raw(part, "type") in ("text", "reasoning")
    ]
    interrupted = message.get("interrupted") is True
    transcript.complete(message_id, turn_id, words, interrupted=interrupted)
    for part in parts:
        _put_call(transcript, turn_id, part, fields.seconds(message, "time"))


def _put_user(transcript: Transcript, message_id: str, turn_id: str, text: str) -> None:
    if turn_id and transcript.knows(f"turn:{turn_id}"):
        transcript.note_complete(message_id)
        return
    transcript.note_complete(f"turn:{turn_id}")
    transcript.add_user(message_id, turn_id, text)


def _put_call(transcript: Transcript, turn_id: str, part: Json, time: float) -> None:
    kind, call_id = fields.raw(part, "type"), fields.raw(part, "call_id")
    if kind == "tool_call":
        name, arguments = fields.label(part, "name"), fields.mapping(part, "arguments")
        transcript.call(call_id, turn_id, name, arguments, time)
    elif kind == "tool_result":
        status = fields.raw(part, "status")
        transcript.call(call_id, turn_id, "", fields.EMPTY, time)
        transcript.call_result(
            call_id,
            status if status in _STATUSES else "error",  # type: ignore[arg-type]
            fields.text(part, "text"),
            None,
        )


def _words(message: Json) -> str:
    parts = fields.objects(message, "parts")
    return "\n".join(fields.text(p, "text") for p in parts if fields.raw(p, "type") == "text")
