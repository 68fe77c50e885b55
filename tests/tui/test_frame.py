"""The rows around the transcript: tabs, hints, keys, what waits, the pace."""

from __future__ import annotations

import pytest
from rich.style import Style

from tests.tui.streams import SESSION_ID, Recording, record, turn
from tui.app import farewell
from tui.keyboard import Keyboard
from tui.pace import QUICK_S, SLOW_S, Pace
from tui.render.palette import DARK
from tui.render.pending import pending_rows
from tui.render.welcome import greets, welcome_rows
from tui.state import outcomes as o
from tui.state.hints import hints, standing
from tui.state.reduce import reduce
from tui.state.tabs import tabs
from tui.state.tool_words import (
    change_counts,
    count,
    duration,
    exit_code,
    full_target,
    money,
    target,
    verb,
)
from tui.state.workspace import Saved, Workspace


def many(count_: int) -> Workspace:
    workspace = Workspace()
    for number in range(1, count_ + 1):
        reduce(workspace, o.SessionOpened(record(id=f"s{number}", name=f"project number {number}")))
    return workspace


@pytest.mark.parametrize("width", [5, 20, 40, 80, 120, 400])
def test_tabs_fit_and_show_the_active_one(width: int) -> None:
    workspace = many(10)
    shown = tabs(workspace, width)
    assert any(tab.active for tab in shown)
    assert sum(tab.cells for tab in shown) <= width or len(shown) == 1
    assert shown[-1].label.startswith("0")


def test_marks_say_what_a_session_does() -> None:
    workspace = many(5)
    one, two, three, four, _ = workspace.order
    one.status, two.status = "failed", "starting"
    three.activity = "awaiting_approval"
    four.turn_id = "t"
    assert [tab.mark for tab in tabs(workspace, 400)] == ["✗", "◌", "?", "●", "○"]
    four.warned = True
    assert tabs(workspace, 400)[3].mark == "!"
    one.unread = 2
    assert tabs(workspace, 400)[0].unread


def test_hints_follow_the_situation() -> None:
    keyboard = Keyboard({})
    workspace = Workspace(server="ready")

    def shown(completing: bool = False, scrolled: bool = False, typing: bool = False) -> str:
        found = hints(workspace, keyboard, completing=completing, scrolled=scrolled, typing=typing)
        assert len(found) <= 5
        return " ".join(" ".join(hint) for hint in found)

    assert "ctrl+n" in shown()
    reduce(workspace, o.SessionOpened(record()))
    assert "alt+1…0" in shown()
    assert "ctrl+j" in shown(typing=True)
    assert "back to the end" in shown(scrolled=True)
    assert "take" in shown(completing=True)
    workspace.sessions[SESSION_ID].turn_id = "t"
    assert "stop" in shown()
    assert "queue" in shown(typing=True)
    reduce(workspace, o.Cancelling(SESSION_ID))
    assert "stopping" in shown()
    reduce(workspace, o.Asked("Sure?", "/x"))
    assert shown() == "y yes n no"


def test_the_standing_names_what_is_wrong_first() -> None:
    workspace = Workspace()
    assert standing(workspace) == ("connecting…", "warn")
    workspace.server = "ready"
    assert standing(workspace) == ("", "dim")
    reduce(workspace, o.SessionOpened(record()))
    session = workspace.sessions[SESSION_ID]
    session.usage.input_tokens, session.usage.cost_usd = 1500, 0.25
    assert standing(workspace) == ("openai:gpt-9 · 1.5k tokens · $0.25 · docker", "dim")
    session.provider = "offline"
    assert standing(workspace)[0].startswith("offline model")
    for link, tone in (("waiting", "warn"), ("refused", "bad")):
        reduce(workspace, o.LinkChanged(SESSION_ID, link))  # type: ignore[arg-type]
        assert standing(workspace)[1] == tone
    session.link = "live"
    for status, tone in (("starting", "warn"), ("failed", "bad")):
        session.status = status
        assert standing(workspace)[1] == tone


def test_the_keyboard_is_guessed_and_learned() -> None:
    assert Keyboard({"TERM": "xterm-kitty"}).extended
    assert Keyboard({"TERM_PROGRAM": "ghostty"}).tab_keys == "ctrl+1…0"
    assert not Keyboard({"TERM": "xterm-kitty", "TMUX": "/tmp/x"}).extended
    keyboard = Keyboard({"TERM": "xterm-256color"})
    assert not keyboard.saw("a")
    assert keyboard.saw("ctrl+1")
    assert keyboard.newline_key == "shift+enter"


def test_the_pace_slows_and_recovers() -> None:
    pace = Pace()
    assert pace.delay(100.0) == 0.0
    for _ in range(10):
        pace.flushed(1.0, 1.5, 0)
    assert pace.interval == SLOW_S
    assert pace.delay(1.6) == pytest.approx(0.3)
    for _ in range(10):
        pace.flushed(2.0, 2.001, 0)
    assert pace.interval == QUICK_S
    pace.flushed(3.0, 3.001, 9)
    assert pace.interval > QUICK_S


def waits(workspace: Workspace, width: int = 80, limit: int = 20) -> list[str]:
    rows = pending_rows(workspace, DARK, width, limit, 7200.0)
    assert all(row.cell_length == width for row in rows)
    return [row.text.rstrip() for row in rows]


def test_what_waits_stands_above_the_prompt() -> None:
    recording = Recording()
    workspace = recording.workspace
    assert waits(workspace) == []
    recording.tell("turn.started", turn=turn())
    todos = [{"content": "a", "status": "completed"}, {"content": "b", "status": "pending"}]
    recording.tell("todo.updated", todos=todos)
    recording.tell("turn.queued", turn=turn("t2", "later"))
    reduce(workspace, o.PromptTyped(SESSION_ID, "k", "latest"))
    assert waits(workspace) == ["▌ queued  later", "▌ sending  latest", "▌ 1/2  b"]
    ask = {"turn_id": "t1", "call_id": "c", "reason": "why", "tool": "edit_file"}
    change = {"path": "a.py", "old_text": "x = 1\ny", "new_text": "x = 2\ny"}
    recording.tell("approval.requested", **ask, arguments=change)
    shown = waits(workspace)
    assert "▌ Allow editing a.py" in shown
    assert "▌ -x = 1" in shown
    assert "▌ +x = 2" in shown
    assert len(waits(workspace, 20, 5)) == 5
    script = "\n".join(f"step {n}" for n in range(30))
    ask = {"turn_id": "t1", "call_id": "d", "reason": "", "tool": "lua"}
    recording.tell("approval.requested", **ask, arguments={"script": script})
    recording.session.asks.pop(0)
    assert any("20 more lines" in line for line in waits(workspace))
    # Of a tool of the project the client knows no main argument: all are shown.
    ask = {"turn_id": "t1", "call_id": "e", "reason": "", "tool": "deploy"}
    arguments = {"path": "a.py", "force": True, "hosts": ["one", "two"]}
    recording.tell("approval.requested", **ask, arguments=arguments)
    asked = recording.session.asks.pop(0)
    shown = waits(workspace)
    assert "▌ Allow using deploy a.py" in shown
    assert '▌   "force": true,' in shown
    assert '▌     "two"' in shown
    recording.session.asks[:] = [asked]
    reduce(workspace, o.Answering(SESSION_ID, "d"))
    assert any("sending the answer" in line for line in waits(workspace))


def test_the_offer_is_one_quiet_line() -> None:
    workspace = Workspace(project_path="/work/parser")
    reduce(workspace, o.SessionOpened(record()))
    reduce(
        workspace, o.SavedListed([Saved("x", "old", "/work/parser", 0.0, 2)], offer="/work/parser")
    )
    assert waits(workspace) == ["▌ Go on with “old”, 2 turns, 2 h ago?  f2 resume   /resume all"]


def test_empty_states_teach() -> None:
    def text(workspace: Workspace) -> str:
        rows = welcome_rows(workspace, workspace.active, DARK, 60)
        assert all(isinstance(s.style, Style) for row in rows for s in row)
        return "\n".join("".join(s.text for s in row) for row in rows)

    workspace = Workspace()
    assert "Connecting" in text(workspace)
    reduce(workspace, o.ServerChanged("waiting", "No server answers."))
    assert "No server answers." in text(workspace)
    reduce(workspace, o.ServerChanged("ready"))
    assert "ctrl+n" in text(workspace)
    reduce(workspace, o.SessionOpened(record(status="starting")))
    assert "you can type already" in text(workspace)
    reduce(workspace, o.SessionChanged(record(status="failed", error="No image.")))
    assert "No image." in text(workspace)
    offline = {"provider": "offline", "model": "demo"}
    reduce(workspace, o.SessionChanged(record(config=offline)))
    assert "No model is configured" in text(workspace)


def test_the_farewell_says_how_to_come_back() -> None:
    workspace = Workspace(home="/home/me")
    assert "/resume" in farewell(workspace)
    reduce(workspace, o.SessionOpened(record(project_path="/home/me/x")))
    workspace.sessions[SESSION_ID].turn_id = "t"
    assert "parser  (still working)   jido-tui ~/x" in farewell(workspace)


def test_words_of_calls() -> None:
    assert verb("read_file", done=True) == "Read"
    assert verb("make_tea", done=False) == "Using make tea"
    assert target("read_file", {"path": "a\nb"}) == "a b"
    assert target("make_tea", {"argv": 1}) == '{"argv": 1}'
    assert target("make_tea", {}) == ""
    assert exit_code("run_command", "x\n[exit code: 7]") == 7
    assert exit_code("shell", '{"exit_code": -9}') == -9
    assert exit_code("run_command", "fine") == 0
    assert exit_code("read_file", "[exit code: 7]") is None
    assert (verb("start_command", done=False), verb("stop_command", done=True)) == (
        "Starting",
        "Stopped",
    )
    assert target("start_command", {"command": "make serve"}) == "make serve"
    assert target("check_command", {"command_id": "job-1", "wait_s": 9}) == "job-1"
    assert target("check_command", {"wait_s": 9}) == "background commands"
    assert target("send_input", {"command_id": "job-1", "text": "y\n"}) == "job-1: y"
    assert full_target("send_input", {"command_id": "job-1", "text": "a\nb\n"}) == "a\nb\n"
    said = "[output so far]\n[exit code: 9]\n"
    assert exit_code("check_command", f"{said}[job-1 is running]") is None
    assert exit_code("check_command", f"{said}[job-1 has exited]\n[exit code: 0]") == 0
    assert exit_code("stop_command", f"{said}[job-1 has exited]\n[exit code: 137]") is None
    assert change_counts("write_file", {"content": "a\nb"}) == (2, 0)
    assert change_counts("edit_file", {"old_string": "a\nb\nc", "new_string": "a\nX\nY\nc"}) == (
        2,
        1,
    )
    assert change_counts("grep", {}) is None
    assert [duration(ms) for ms in (4, 1500, 125_000)] == ["4 ms", "1.5 s", "2 min 05 s"]
    assert [count(n) for n in (5, 1500, 2_500_000)] == ["5", "1.5k", "2.5M"]
    assert [money(c) for c in (None, 0.0, 0.001, 1.5)] == ["", "$0.00", "$0.0010", "$1.50"]


def test_the_first_words_keep_what_was_told_beside_them() -> None:
    workspace = Workspace()
    reduce(workspace, o.SessionOpened(record()))
    session = workspace.order[0]
    assert greets(session.transcript)
    for number in range(3):
        reduce(workspace, o.Told(session.id, "warning", f"The project is told of, {number}."))
    assert greets(session.transcript)
    rows = welcome_rows(workspace, session, DARK, 60)
    text = "\n".join("".join(s.text for s in row) for row in rows)
    assert text.index("is told of, 0") < text.index("is told of, 2") < text.index("commands")
    reduce(workspace, o.Told(session.id, "info", "One more."))
    assert not greets(session.transcript)
