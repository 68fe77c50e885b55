"""The reducer, by recorded streams."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.tui.streams import SESSION_ID, Recording, message, record, turn, words
from tui.state import outcomes as o
from tui.state.items import Notice, Prose, ShellRun, ToolCall, TurnEnd, UserText
from tui.state.reduce import reduce
from tui.state.reduce_events import HANDLERS
from tui.state.workspace import Saved, Workspace


def prose(recording: Recording) -> list[str]:
    return [i.text for i in recording.session.transcript.items if isinstance(i, Prose)]


def call(recording: Recording) -> ToolCall:
    return next(i for i in recording.session.transcript.items if isinstance(i, ToolCall))


def whole_turn(recording: Recording) -> list[dict[str, Any]]:
    times: dict[str, Any] = {
        "started_at": "2026-01-01T12:00:01Z",
        "finished_at": "2026-01-01T12:00:03.5Z",
    }
    event = recording.event
    tool: dict[str, Any] = {"turn_id": "t1", "call_id": "c1"}
    return [
        event("turn.queued", turn=turn()),
        event("turn.started", turn=turn(**times)),
        event("message.user", **message("user", words("do it"), message_id="u1")),
        event("reasoning.delta", turn_id="t1", message_id="m1", text="Hm."),
        event("text.delta", turn_id="t1", message_id="m1", text="I will "),
        event("text.delta", turn_id="t1", message_id="m1", text="look."),
        event("tool.call", **tool, name="read_file", arguments={"path": "a.py"}),
        event(
            "message.assistant",
            **message(
                "assistant",
                words("Hm.", "reasoning"),
                words("I will look."),
                {"type": "tool_call", "call_id": "c1", "name": "read_file", "arguments": {}},
            ),
        ),
        event("tool.output", **tool, stream="stdout", text="half"),
        event("tool.result", **tool, status="ok", text="whole", elapsed_ms=12.0),
        event("text.delta", turn_id="t1", message_id="m2", text="Done."),
        event("message.assistant", **message("assistant", words("Done."), message_id="m2")),
        event("usage.updated", usage={"input_tokens": 5, "output_tokens": 2, "cost_usd": 0.5}),
        event("turn.completed", turn=turn(**times)),
    ]


SHAPES = ["UserText", "Prose", "Prose", "ToolCall", "Prose", "TurnEnd"]


def test_a_whole_turn() -> None:
    recording = Recording()
    recording.play(*whole_turn(recording))
    assert recording.shapes() == SHAPES
    assert prose(recording) == ["Hm.", "I will look.", "Done."]
    done = call(recording)
    assert (done.status, done.text, done.output, done.elapsed_ms) == ("ok", "whole", "half", 12.0)
    end = recording.session.transcript.items[-1]
    assert isinstance(end, TurnEnd)
    assert end.seconds == 2.5
    assert recording.session.usage.cost_usd == 0.5
    assert not recording.session.busy
    assert recording.session.history == ["do it"]


@given(st.lists(st.integers(0, 13), max_size=30))
def test_events_told_again_change_nothing(repeats: list[int]) -> None:
    recording = Recording()
    events = whole_turn(recording)
    for place, event in enumerate(events):
        recording.play(event)
        recording.play(*(events[i] for i in repeats if i <= place))
    assert recording.shapes() == SHAPES
    assert prose(recording) == ["Hm.", "I will look.", "Done."]


def test_a_replay_over_a_loaded_transcript_adds_nothing_twice() -> None:
    recording = Recording()
    events = whole_turn(recording)
    messages = [e["data"]["message"] for e in events if e["type"].startswith("message.")]
    result = {"type": "tool_result", "call_id": "c1", "status": "ok", "text": "whole"}
    messages.insert(2, message("assistant", result, message_id="r1")["message"])
    reduce(recording.workspace, o.HistoryLoaded(SESSION_ID, messages, after=0))
    recording.play(*events)
    assert recording.shapes() == SHAPES
    assert call(recording).status == "ok"


def test_what_the_message_says_wins_over_what_was_streamed() -> None:
    recording = Recording()
    recording.tell("text.delta", turn_id="t1", message_id="m1", text="Half a sent")
    recording.tell("message.assistant", **message("assistant", words("A whole sentence.")))
    assert prose(recording) == ["A whole sentence."]
    item = recording.session.transcript.items[0]
    assert isinstance(item, Prose)
    assert item.closed
    assert item.resets == 1


def test_a_message_never_streamed_appears() -> None:
    recording = Recording()
    parts = (words("why", "reasoning"), words("one"), words("two"))
    recording.tell("message.assistant", **message("assistant", *parts, interrupted=True))
    assert prose(recording) == ["why", "one\n\ntwo"]


def test_queued_prompts_wait_and_then_join_the_transcript() -> None:
    recording = Recording()
    recording.tell("turn.started", turn=turn("t1", "first"))
    recording.tell("turn.queued", turn=turn("t2", "second"))
    assert [q.text for q in recording.session.queue] == ["second"]
    recording.tell("turn.completed", turn=turn("t1", "first"))
    recording.tell("turn.started", turn=turn("t2", "second"))
    assert recording.session.queue == []
    texts = [i.text for i in recording.session.transcript.items if isinstance(i, UserText)]
    assert texts == ["first", "second"]


def test_an_ask_opens_and_closes() -> None:
    recording = Recording()
    data = {"turn_id": "t1", "call_id": "c1", "tool": "run_command", "arguments": {"command": "ls"}}
    recording.tell("turn.started", turn=turn())
    recording.tell("approval.requested", **data, reason="asks")
    assert recording.session.activity == "awaiting_approval"
    assert call(recording).status == "asked"
    reduce(recording.workspace, o.Answering(SESSION_ID, "c1"))
    assert recording.session.asks[0].answering
    reduce(recording.workspace, o.AnswerFailed(SESSION_ID, "c1", "try again"))
    assert recording.session.asks[0].error == "try again"
    recording.tell("approval.answered", turn_id="t1", call_id="c1", decision="once")
    assert recording.session.asks == []
    assert recording.session.activity == "working"
    assert call(recording).status == "running"


def test_a_turn_that_ends_closes_what_it_left_open() -> None:
    recording = Recording()
    recording.tell("turn.started", turn=turn())
    recording.tell("text.delta", turn_id="t1", message_id="m1", text="I was")
    recording.tell("tool.call", turn_id="t1", call_id="c1", name="shell", arguments={})
    recording.tell("notice", level="warning", text="a notice behind it")
    failure = {"code": "model_unavailable", "message": "The provider is down. Try later."}
    recording.tell("turn.failed", turn=turn(error=failure))
    assert recording.shapes() == ["UserText", "Prose", "ToolCall", "TurnEnd", "Notice"]
    assert call(recording).status == "interrupted"
    end = recording.session.transcript.items[3]
    assert isinstance(end, TurnEnd)
    assert end.error == failure["message"]


def test_the_record_follows_the_events() -> None:
    recording = Recording()
    recording.tell("session.restarting", session=record(status="restarting"))
    assert recording.session.status == "restarting"
    recording.tell("session.failed", session=record(status="failed", error="No image."))
    recording.tell("sandbox.crashed", detail="exit 137")
    recording.tell("sandbox.oom", reason="oom")
    recording.tell("sandbox.oom", sandbox="alive", detail="A process was killed: 2 GiB.")
    recording.tell("session.renamed", session=record(name="better", config={}))
    assert recording.session.name == "better"
    notices = [i.text for i in recording.session.transcript.items if isinstance(i, Notice)]
    assert any("No image." in text for text in notices)
    assert any("exit 137" in text for text in notices)
    assert any("ran out of memory" in text for text in notices)
    assert any("killed: 2 GiB" in text for text in notices)
    recording.tell("session.closed", session=record(status="closing"))
    assert recording.workspace.active is None


def test_tasks_of_the_model() -> None:
    recording = Recording()
    todos = [
        {"content": "read", "status": "completed"},
        {"content": "write", "status": "in_progress", "active_form": "writing"},
        "nonsense",
    ]
    recording.tell("todo.updated", turn_id="t1", todos=todos)
    assert [(t.content, t.status) for t in recording.session.tasks] == [
        ("read", "completed"),
        ("writing", "in_progress"),
    ]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = st.sampled_from(
    ["turn", "session", "message", "text", "message_id", "call_id", "parts", "id", "role", "todos"]
)


@given(st.sampled_from(sorted(HANDLERS)), st.dictionaries(KEYS, json_values, max_size=6))
def test_no_event_takes_the_client_down(kind: str, data: dict[str, Any]) -> None:
    recording = Recording()
    recording.tell(kind, **data)
    recording.tell("tool.call", turn_id="t", call_id="c", name="x", arguments="none")
    reduce(recording.workspace, o.Streamed(SESSION_ID, [{"seq": "x"}, {"type": 5, "seq": 10_000}]))
    assert list(recording.workspace.sessions) == [SESSION_ID]


def test_tabs_come_and_go() -> None:
    workspace = Workspace()
    for name in ("a", "b", "c"):
        reduce(workspace, o.SessionOpened(record(id=name, name=name)))
    assert workspace.active_id == "c"
    reduce(workspace, o.Focused("b"))
    reduce(workspace, o.SessionGone("b"))
    assert workspace.active_id == "a"
    reduce(workspace, o.SessionsListed([record(id="c"), record(id="d")]))
    assert list(workspace.sessions) == ["c", "d"]
    assert workspace.active_id == "c"
    assert workspace.at(2) is workspace.sessions["d"]
    assert workspace.at(0) is None


def test_a_resumed_session_takes_the_place_of_the_empty_one() -> None:
    workspace = Workspace()
    for name in ("a", "b"):
        reduce(workspace, o.SessionOpened(record(id=name, name=name)))
    reduce(workspace, o.Focused("a"))
    workspace.sessions["a"].draft = "kept"
    reduce(workspace, o.SessionOpened(record(id="z", name="z"), replaces="a"))
    assert list(workspace.sessions) == ["z", "b"]
    assert workspace.active_id == "z"
    assert workspace.sessions["z"].draft == "kept"


def test_prompts_wait_until_they_are_accepted() -> None:
    workspace = Workspace()
    reduce(workspace, o.PromptTyped("", "k1", "early"))
    assert [w.text for w in workspace.early] == ["early"]
    reduce(workspace, o.SessionOpened(record()))
    session = workspace.sessions[SESSION_ID]
    reduce(workspace, o.PromptTyped(SESSION_ID, "k2", "late"))
    assert [w.key for w in session.outbox] == ["k1", "k2"]
    reduce(workspace, o.PromptAccepted(SESSION_ID, "k1", {"id": "t1"}))
    assert [q.turn_id for q in session.queue] == ["t1"]
    reduce(workspace, o.PromptRefused(SESSION_ID, "k2", "Too long."))
    assert session.outbox == []
    assert session.draft == "late"


def test_accepted_after_it_already_ran() -> None:
    recording = Recording()
    reduce(recording.workspace, o.PromptTyped(SESSION_ID, "k1", "do it"))
    recording.play(*whole_turn(recording))
    reduce(recording.workspace, o.PromptAccepted(SESSION_ID, "k1", {"id": "t1"}))
    assert recording.session.queue == []
    assert recording.shapes() == SHAPES


def test_the_offer_is_the_newest_of_this_project() -> None:
    workspace = Workspace(project_path="/p")
    saved = [
        Saved("1", "other", "/q", 3.0, 1),
        Saved("2", "broken", "/p", 2.0, 1, error="damaged"),
        Saved("3", "mine", "/p", 1.0, 1),
    ]
    reduce(workspace, o.SavedListed(saved, offer="/p"))
    assert workspace.offer == saved[2]
    reduce(workspace, o.SavedListed(saved[:1]))
    assert workspace.offer is None


def test_commands_of_the_person() -> None:
    recording = Recording()
    reduce(recording.workspace, o.RunStarted(SESSION_ID, "r1", "ls", 1.0))
    reduce(recording.workspace, o.RunOutput(SESSION_ID, "r1", "a\x1b[1m"))
    reduce(recording.workspace, o.RunEnded(SESSION_ID, "r1", 2, "", 5.0))
    run = recording.session.transcript.items[0]
    assert isinstance(run, ShellRun)
    assert (run.output, run.exit_code, run.finished) == ("a", 2, True)
    reduce(recording.workspace, o.Folded(SESSION_ID, run, now_open=False))
    assert run.open is False


def test_older_pages_go_in_front() -> None:
    recording = Recording()
    newer = [message("user", words("second"), message_id="m2")["message"]]
    older = [message("user", words("first"), message_id="m1", turn_id="t0")["message"]]
    reduce(recording.workspace, o.HistoryLoaded(SESSION_ID, newer, after=7))
    reduce(recording.workspace, o.HistoryLoaded(SESSION_ID, older, older=True))
    texts = [i.text for i in recording.session.transcript.items if isinstance(i, UserText)]
    assert texts == ["first", "second"]
    assert recording.session.last_seq == 7
    recording.play(recording.event("notice", seq=7, level="info", text="old"))
    assert recording.shapes() == ["UserText", "UserText"]


def test_what_was_told_without_a_session_is_read_in_the_first_one() -> None:
    workspace = Workspace()
    reduce(workspace, o.Told("", "error", "There is no theme “pink”."))
    assert len(workspace.lobby.items) == 1
    reduce(workspace, o.SessionOpened({"id": "s1", "name": "one"}))
    active = workspace.active
    assert active is not None
    assert [i.text for i in active.transcript.items if isinstance(i, Notice)] == [
        "There is no theme “pink”."
    ]
    assert workspace.lobby.items == []


def test_what_was_told_before_the_transcript_came_stays() -> None:
    recording = Recording()
    reduce(recording.workspace, o.Told(SESSION_ID, "info", "“other” was closed elsewhere."))
    page = [message("user", words("first"), message_id="m1", turn_id="t0")["message"]]
    reduce(recording.workspace, o.HistoryLoaded(SESSION_ID, page, after=7))
    assert recording.shapes() == ["UserText", "Notice"]
    reduce(recording.workspace, o.HistoryLoaded(SESSION_ID, page, after=9))
    assert recording.shapes() == ["UserText"]
