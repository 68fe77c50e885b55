"""How one wire event changes one session.

Owns the meaning of each event type to the client. An unknown type changes nothing but the
number of the newest event, so that a newer server can say more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, get_args

from tui.state import fields
from tui.state.items import Level, Notice, ToolStatus, TurnEnd
from tui.state.messages import add_message
from tui.state.session import Ask, Queued, SessionState, Task

Json = Mapping[str, Any]
Handler = Callable[[SessionState, Json, float], None]

_LEVELS: Final = frozenset(get_args(Level))
_STATUSES: Final = frozenset(get_args(ToolStatus))


def apply_event(session: SessionState, event: Json) -> None:
    """Change `session` by one event; a number already seen changes nothing."""
    seq = fields.integer(event, "seq")
    if seq <= session.last_seq:
        return
    session.last_seq = seq
    handler = HANDLERS.get(fields.raw(event, "type"))
    if handler is not None:
        handler(session, fields.mapping(event, "data"), fields.seconds(event, "time"))


def _record(session: SessionState, data: Json, time: float) -> None:
    session.take_record(fields.mapping(data, "session"))


def _session_failed(session: SessionState, data: Json, time: float) -> None:
    _record(session, data, time)
    session.status = "failed"
    reason = session.error or "The sandbox could not be started."
    _notice(session, "error", f"{reason}  Try /session restart.")


def _restarting(session: SessionState, data: Json, time: float) -> None:
    _record(session, data, time)
    session.status = "restarting"
    _notice(session, "info", "The sandbox is starting afresh; the conversation stays.")


def _crashed(session: SessionState, data: Json, time: float) -> None:
    session.warned = True
    detail = fields.label(data, "detail") or fields.label(data, "text")
    _notice(session, "warning", f"The sandbox stopped unexpectedly. {detail}".rstrip())


def _out_of_memory(session: SessionState, data: Json, time: float) -> None:
    session.warned = True
    if fields.raw(data, "sandbox") == "alive":
        _notice(
            session, "warning", fields.label(data, "detail") or "Memory ran out in the sandbox."
        )
        return
    _notice(session, "warning", "The sandbox ran out of memory. JIDO_SANDBOX_MEMORY raises it.")


def _turn_queued(session: SessionState, data: Json, time: float) -> None:
    turn = fields.mapping(data, "turn")
    turn_id = fields.raw(turn, "id")
    if turn_id == session.turn_id or any(q.turn_id == turn_id for q in session.queue):
        return
    session.queue.append(Queued(turn_id, fields.text(turn, "prompt")))


def _turn_started(session: SessionState, data: Json, time: float) -> None:
    turn = fields.mapping(data, "turn")
    turn_id = fields.raw(turn, "id")
    session.turn_id, session.cancelling, session.activity = turn_id, False, "working"
    session.turn_started = fields.seconds(turn, "started_at") or time
    _leave_queue(session, turn_id, fields.text(turn, "prompt"))


def _leave_queue(session: SessionState, turn_id: str, prompt: str) -> None:
    queued = [q for q in session.queue if q.turn_id == turn_id]
    session.queue = [q for q in session.queue if q.turn_id != turn_id]
    words = prompt or (queued[0].text if queued else "")
    if words:
        session.transcript.add_user(f"turn:{turn_id}", turn_id, words)


def _turn_over(status: str) -> Handler:
    def handle(session: SessionState, data: Json, time: float) -> None:
        turn = fields.mapping(data, "turn")
        turn_id = fields.raw(turn, "id")
        _leave_queue(session, turn_id, fields.text(turn, "prompt"))
        session.asks = [ask for ask in session.asks if ask.turn_id != turn_id]
        if session.turn_id in ("", turn_id):
            session.turn_id, session.cancelling, session.activity = "", False, "idle"
        session.transcript.end_turn(_ending(session, turn, status))

    return handle


def _ending(session: SessionState, turn: Json, status: str) -> TurnEnd:
    started, finished = fields.seconds(turn, "started_at"), fields.seconds(turn, "finished_at")
    usage = fields.mapping(turn, "usage")
    return TurnEnd(
        turn_id=fields.raw(turn, "id"),
        status=status,
        seconds=max(0.0, finished - started) if started and finished else None,
        model=session.qualified_model,
        input_tokens=fields.integer(usage, "input_tokens"),
        output_tokens=fields.integer(usage, "output_tokens"),
        cost_usd=fields.number(usage, "cost_usd"),
        error=fields.text(fields.mapping(turn, "error"), "message"),
    )


def _message(session: SessionState, data: Json, time: float) -> None:
    message = fields.mapping(data, "message")
    turn_id = fields.raw(message, "turn_id") or fields.raw(data, "turn_id")
    if fields.raw(message, "role") == "user" and any(q.turn_id == turn_id for q in session.queue):
        return
    add_message(session, message)


def _delta(*, reasoning: bool) -> Handler:
    def handle(session: SessionState, data: Json, time: float) -> None:
        session.transcript.grow(
            fields.raw(data, "message_id"),
            fields.raw(data, "turn_id"),
            fields.raw(data, "text"),
            reasoning=reasoning,
        )

    return handle


def _tool_call(session: SessionState, data: Json, time: float) -> None:
    session.transcript.call(
        fields.raw(data, "call_id"),
        fields.raw(data, "turn_id"),
        fields.label(data, "name"),
        fields.mapping(data, "arguments"),
        time,
    )


def _tool_output(session: SessionState, data: Json, time: float) -> None:
    session.transcript.call_output(fields.raw(data, "call_id"), fields.raw(data, "text"))


def _tool_result(session: SessionState, data: Json, time: float) -> None:
    status = fields.raw(data, "status")
    call_id = fields.raw(data, "call_id")
    session.asks = [ask for ask in session.asks if ask.call_id != call_id]
    session.transcript.call_result(
        call_id,
        status if status in _STATUSES else "error",  # type: ignore[arg-type]
        fields.text(data, "text"),
        fields.number(data, "elapsed_ms"),
    )


def _ask(session: SessionState, data: Json, time: float) -> None:
    turn_id, call_id = fields.raw(data, "turn_id"), fields.raw(data, "call_id")
    tool, arguments = fields.label(data, "tool"), fields.mapping(data, "arguments")
    session.transcript.call(call_id, turn_id, tool, arguments, time)
    session.transcript.call_status(call_id, "asked")
    session.activity = "awaiting_approval"
    if all(ask.call_id != call_id for ask in session.asks):
        reason = fields.label(data, "reason")
        session.asks.append(Ask(turn_id, call_id, tool, arguments, reason))


def _answered(session: SessionState, data: Json, time: float) -> None:
    call_id = fields.raw(data, "call_id")
    session.asks = [ask for ask in session.asks if ask.call_id != call_id]
    if not session.asks and session.activity == "awaiting_approval":
        session.activity = "working"
    if fields.raw(data, "decision") != "deny":
        session.transcript.call_status(call_id, "running")


def _todos(session: SessionState, data: Json, time: float) -> None:
    entries = fields.objects(data, "todos") or fields.objects(data, "items")
    session.tasks = read_tasks(entries)


def read_tasks(entries: list[Json]) -> list[Task]:
    """Return the entries of a task list."""
    return [_task(entry) for entry in entries[:100]]


def _task(entry: Json) -> Task:
    status = fields.raw(entry, "status")
    content = fields.label(entry, "content")
    active = fields.label(entry, "active_form") if status == "in_progress" else ""
    return Task(active or content, status)


def _usage(session: SessionState, data: Json, time: float) -> None:
    usage = fields.mapping(data, "session_usage") or fields.mapping(data, "usage")
    if usage:
        session.take_usage(usage)


def _noticed(session: SessionState, data: Json, time: float) -> None:
    level = fields.raw(data, "level")
    if level != "info" and fields.raw(data, "code").startswith("sandbox_"):
        session.warned = True
    _notice(session, level if level in _LEVELS else "info", fields.text(data, "text"))


def _notice(session: SessionState, level: str, text: str) -> None:
    if text:
        session.transcript.append(Notice(level=level, text=text))  # type: ignore[arg-type]


HANDLERS: Final[dict[str, Handler]] = {
    "session.created": _record,
    "session.ready": _record,
    "session.restarting": _restarting,
    "session.failed": _session_failed,
    "session.renamed": _record,
    "session.configured": _record,
    "session.closed": _record,
    "sandbox.crashed": _crashed,
    "sandbox.oom": _out_of_memory,
    "turn.queued": _turn_queued,
    "turn.started": _turn_started,
    "turn.completed": _turn_over("completed"),
    "turn.failed": _turn_over("failed"),
    "turn.cancelled": _turn_over("cancelled"),
    "turn.interrupted": _turn_over("interrupted"),
    "message.user": _message,
    "message.assistant": _message,
    "text.delta": _delta(reasoning=False),
    "reasoning.delta": _delta(reasoning=True),
    "tool.call": _tool_call,
    "tool.output": _tool_output,
    "tool.result": _tool_result,
    "approval.requested": _ask,
    "approval.answered": _answered,
    "todo.updated": _todos,
    "usage.updated": _usage,
    "notice": _noticed,
}
