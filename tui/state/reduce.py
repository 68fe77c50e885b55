"""The reducer: the only code that changes the client's state.

Owns the meaning of every outcome. It alters the one `Workspace` in place, since a copy per
streamed word would cost what the words are worth; it does no input or output, reads no
clock and knows no terminal, so that recorded streams test it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from tui.state import fields
from tui.state import outcomes as o
from tui.state.items import Note, Notice, ShellRun
from tui.state.messages import load_messages
from tui.state.reduce_events import apply_event
from tui.state.session import Queued, SessionState, Waiting
from tui.state.transcript import Transcript
from tui.state.workspace import Question, Workspace

MAX_RUN_CHARACTERS: Final = 1_000_000
"""Characters of a command's output kept; the beginning is dropped beyond it."""


def reduce(workspace: Workspace, outcome: o.Outcome) -> None:
    """Change `workspace` by one fact; facts about unknown sessions change nothing."""
    _REDUCERS[type(outcome)](workspace, outcome)
    workspace.revision += 1


def _streamed(w: Workspace, outcome: o.Streamed) -> None:
    session = w.sessions.get(outcome.session_id)
    if session is None:
        return
    for event in outcome.events:
        apply_event(session, event)
        if fields.raw(event, "type") == "session.closed":
            _leave(w, session.id)
            return
    if session.id == w.active_id:
        session.unread, session.warned = 0, False


def _listed(w: Workspace, outcome: o.SessionsListed) -> None:
    listed = {fields.raw(record, "id"): record for record in outcome.records}
    for session_id in [known for known in w.sessions if known not in listed]:
        _leave(w, session_id)
    for record in outcome.records:
        _appear(w, record)


def _appeared(w: Workspace, outcome: o.SessionAppeared) -> None:
    _appear(w, outcome.record)


def _appear(w: Workspace, record: o.Json) -> None:
    """Add a tab; what a known one shows comes from its own stream, which is newer."""
    if fields.raw(record, "id") not in w.sessions:
        _upsert(w, record)


def _opened(w: Workspace, outcome: o.SessionOpened) -> None:
    session = _upsert(w, outcome.record)
    if session is None:
        return
    if w.early:
        session.outbox.extend(w.early)
        w.early = []
    if outcome.replaces in w.sessions and outcome.replaces != session.id:
        _take_place(w, session, w.sessions[outcome.replaces])
    w.replacing = ""
    if outcome.focus or not w.active_id:
        _focus(w, session)


def _take_place(w: Workspace, session: SessionState, old: SessionState) -> None:
    session.draft = session.draft or old.draft
    session.replaced = old.id
    session.outbox.extend(old.outbox)
    order = [s for s in w.order if s.id != session.id]
    w.sessions = {s.id: s for s in (session if s.id == old.id else s for s in order)}
    if w.active_id == old.id:
        w.active_id = session.id


def _changed(w: Workspace, outcome: o.SessionChanged) -> None:
    session = w.sessions.get(fields.raw(outcome.record, "id"))
    if session is not None:
        session.take_record(outcome.record)


def _gone(w: Workspace, outcome: o.SessionGone) -> None:
    _leave(w, outcome.session_id)


def _closing(w: Workspace, outcome: o.Closing) -> None:
    if outcome.begun:
        w.closing.add(outcome.session_id)
    else:
        w.closing.discard(outcome.session_id)


def _replacing(w: Workspace, outcome: o.Replacing) -> None:
    w.replacing = outcome.session_id


def _leave(w: Workspace, session_id: str) -> None:
    """Remove a tab, with a word when it was not this client that closed it."""
    session = w.sessions.get(session_id)
    if session is None or session_id == w.replacing:
        return
    name = w.shown_name(session)
    _remove(w, session_id)
    # What was closed may be saved now, so that the numbers shown before mean nothing any more.
    w.saved = []
    if session_id in w.closing:
        w.closing.discard(session_id)
        return
    if session.status == "failed" and not session.runtime:
        what = f"“{name}” never started and gave its place up."
    elif session.empty:
        what = f"“{name}” was closed elsewhere."
    else:
        what = f"“{name}” was closed elsewhere. /resume brings it back."
    _told(w, o.Told("", "info", what))


def _upsert(w: Workspace, record: o.Json) -> SessionState | None:
    session_id = fields.raw(record, "id")
    if not session_id:
        return None
    session = w.sessions.setdefault(session_id, SessionState(session_id))
    session.take_record(record)
    return session


def _remove(w: Workspace, session_id: str) -> None:
    if session_id not in w.sessions:
        return
    order = list(w.sessions)
    place = order.index(session_id)
    del w.sessions[session_id]
    if w.active_id == session_id:
        rest = list(w.sessions.values())
        w.active_id = ""
        if rest:
            _focus(w, rest[max(0, place - 1)])


def _focus(w: Workspace, session: SessionState) -> None:
    w.active_id = session.id
    session.unread, session.warned = 0, False
    if w.lobby.items:
        # Told while no session was open, which is where nobody looks any more.
        for item in w.lobby.items:
            session.transcript.append(item)
        w.lobby = Transcript()


def _history(w: Workspace, outcome: o.HistoryLoaded) -> None:
    session = w.sessions.get(outcome.session_id)
    if session is None:
        return
    known = list(session.history)
    transcript = load_messages(session, outcome.messages)
    if outcome.older:
        session.history += [line for line in known if line not in session.history]
        session.transcript.absorb_older(transcript)
        return
    if not session.loaded:
        # What this client said of the session before its transcript came stays said.
        for item in session.transcript.items:
            if isinstance(item, Note | Notice):
                transcript.append(item)
    session.transcript = transcript
    session.loaded = True
    session.last_seq = outcome.after
    session.queue, session.asks = [], []


def _tasks(w: Workspace, outcome: o.TasksLoaded) -> None:
    if session := w.sessions.get(outcome.session_id):
        session.tasks = list(outcome.tasks)


def _turns(w: Workspace, outcome: o.TurnsLoaded) -> None:
    session = w.sessions.get(outcome.session_id)
    if session is None:
        return
    session.turn_id, session.queue = "", []
    for turn in outcome.turns:
        turn_id = fields.raw(turn, "id")
        if fields.raw(turn, "status") == "queued":
            session.queue.append(Queued(turn_id, fields.text(turn, "prompt")))
        else:
            session.turn_id = turn_id
            session.turn_started = fields.seconds(turn, "started_at")


def _link(w: Workspace, outcome: o.LinkChanged) -> None:
    if session := w.sessions.get(outcome.session_id):
        session.link, session.link_detail = outcome.link, outcome.detail


def _server(w: Workspace, outcome: o.ServerChanged) -> None:
    w.server, w.fault = outcome.server, outcome.fault


def _saved(w: Workspace, outcome: o.SavedListed) -> None:
    if outcome.offer:
        mine = (s for s in outcome.saved if s.project_path == outcome.offer and not s.error)
        w.offer = next((s for s in mine if s.id not in w.sessions), None)
        return
    w.saved = list(outcome.saved)
    if w.offer is not None and all(s.id != w.offer.id for s in w.saved):
        w.offer = None


def _dismissed(w: Workspace, outcome: o.OfferDismissed) -> None:
    w.offer = None


def _focused(w: Workspace, outcome: o.Focused) -> None:
    if session := w.sessions.get(outcome.session_id):
        _focus(w, session)


def _typed(w: Workspace, outcome: o.PromptTyped) -> None:
    waiting = Waiting(outcome.key, outcome.text)
    session = w.sessions.get(outcome.session_id)
    if session is None:
        w.early.append(waiting)
        return
    session.outbox.append(waiting)
    session.remember(outcome.text)
    w.offer = None


def _accepted(w: Workspace, outcome: o.PromptAccepted) -> None:
    session = w.sessions.get(outcome.session_id)
    if session is None:
        return
    sent = [x for x in session.outbox if x.key == outcome.key]
    session.outbox = [x for x in session.outbox if x.key != outcome.key]
    turn_id = fields.raw(outcome.turn, "id")
    known = turn_id == session.turn_id or session.transcript.knows(f"turn:{turn_id}")
    if sent and not known and all(q.turn_id != turn_id for q in session.queue):
        session.queue.append(Queued(turn_id, sent[0].text))


def _refused(w: Workspace, outcome: o.PromptRefused) -> None:
    session = w.sessions.get(outcome.session_id)
    if session is None:
        return
    sent = [x for x in session.outbox if x.key == outcome.key]
    session.outbox = [x for x in session.outbox if x.key != outcome.key]
    if sent:
        session.draft = "\n".join(filter(None, (sent[0].text, session.draft)))
    session.transcript.append(Notice(level="error", text=outcome.detail))


def _cancelling(w: Workspace, outcome: o.Cancelling) -> None:
    if session := w.sessions.get(outcome.session_id):
        session.cancelling = True


def _answering(w: Workspace, outcome: o.Answering) -> None:
    if session := w.sessions.get(outcome.session_id):
        for ask in session.asks:
            if ask.call_id == outcome.call_id:
                ask.answering, ask.error = True, ""


def _answer_failed(w: Workspace, outcome: o.AnswerFailed) -> None:
    session = w.sessions.get(outcome.session_id)
    if session is None:
        return
    if outcome.over:
        session.asks = [ask for ask in session.asks if ask.call_id != outcome.call_id]
        session.transcript.append(Notice(level="info", text=outcome.detail))
    for ask in session.asks:
        if ask.call_id == outcome.call_id:
            ask.answering, ask.error = False, outcome.detail


def _told(w: Workspace, outcome: o.Told) -> None:
    session = w.sessions.get(outcome.session_id or w.active_id)
    transcript = session.transcript if session else w.lobby
    if outcome.markdown:
        transcript.append(Note(text=outcome.text))
    else:
        transcript.append(Notice(level=outcome.level, text=outcome.text))


def _shown(w: Workspace, outcome: o.Shown) -> None:
    if session := w.sessions.get(outcome.session_id):
        session.transcript.append(outcome.item)


def _run_started(w: Workspace, outcome: o.RunStarted) -> None:
    if session := w.sessions.get(outcome.session_id):
        session.transcript.run(
            ShellRun(run_id=outcome.run_id, command=outcome.command, started=outcome.started)
        )


def _run_output(w: Workspace, outcome: o.RunOutput) -> None:
    session = w.sessions.get(outcome.session_id)
    run = session.transcript.run_of(outcome.run_id) if session else None
    if session and run:
        run.output = (run.output + run.sanitiser.feed(outcome.piece))[-MAX_RUN_CHARACTERS:]
        session.transcript.changed(run)


def _run_ended(w: Workspace, outcome: o.RunEnded) -> None:
    session = w.sessions.get(outcome.session_id)
    run = session.transcript.run_of(outcome.run_id) if session else None
    if session and run:
        run.exit_code, run.error = outcome.exit_code, outcome.error
        run.elapsed_ms = outcome.elapsed_ms
        session.transcript.changed(run)


def _asked(w: Workspace, outcome: o.Asked) -> None:
    w.question = Question(outcome.text, outcome.command)


def _question_closed(w: Workspace, outcome: o.QuestionClosed) -> None:
    w.question = None


def _folded(w: Workspace, outcome: o.Folded) -> None:
    if session := w.sessions.get(outcome.session_id):
        session.transcript.toggle(outcome.item, now_open=outcome.now_open)


_REDUCERS: Final[dict[type, Callable[[Workspace, Any], None]]] = {
    o.Streamed: _streamed,
    o.SessionsListed: _listed,
    o.SessionOpened: _opened,
    o.SessionAppeared: _appeared,
    o.Closing: _closing,
    o.Replacing: _replacing,
    o.SessionChanged: _changed,
    o.SessionGone: _gone,
    o.HistoryLoaded: _history,
    o.TasksLoaded: _tasks,
    o.TurnsLoaded: _turns,
    o.LinkChanged: _link,
    o.ServerChanged: _server,
    o.SavedListed: _saved,
    o.OfferDismissed: _dismissed,
    o.Focused: _focused,
    o.PromptTyped: _typed,
    o.PromptAccepted: _accepted,
    o.PromptRefused: _refused,
    o.Cancelling: _cancelling,
    o.Answering: _answering,
    o.AnswerFailed: _answer_failed,
    o.Told: _told,
    o.Shown: _shown,
    o.RunStarted: _run_started,
    o.RunOutput: _run_output,
    o.RunEnded: _run_ended,
    o.Asked: _asked,
    o.QuestionClosed: _question_closed,
    o.Folded: _folded,
}
