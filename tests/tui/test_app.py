"""The client as a person meets it: against a server, by keys, seen on the screen."""

from __future__ import annotations

import asyncio

from orchestrator.domain.ids import new_id
from orchestrator.domain.models import SessionConfig
from orchestrator.domain.turn import Turn
from tests.support.scripted_api import Refusal, ScriptedApi
from tests.tui.conftest import PROJECT, OpenClient


async def silent(api: ScriptedApi, session_id: str, turn: Turn) -> None:
    """A model that thinks for ever."""
    await asyncio.sleep(60)


async def asking(api: ScriptedApi, session_id: str, turn: Turn) -> None:
    """A model that wants to run a command."""
    call_id = "call-1"
    api.answers[call_id] = asyncio.get_running_loop().create_future()
    data = {
        "turn_id": turn.id,
        "call_id": call_id,
        "tool": "run_command",
        "arguments": {"command": "rm -rf build"},
        "reason": "Commands ask first.",
    }
    api.emit(session_id, "approval.requested", data)
    decision = await api.answers[call_id]
    result = {"turn_id": turn.id, "call_id": call_id, "elapsed_ms": 4.0}
    status, text = ("denied", "no") if decision == "deny" else ("ok", "gone")
    api.emit(session_id, "tool.result", {**result, "status": status, "text": text})


async def test_opens_a_session_for_the_project(api: ScriptedApi, open_client: OpenClient) -> None:
    async with open_client() as client:
        await client.sees("1:parser", "/work/parser", "Sandbox ready", "offline model")
    assert api.hits("POST", "/v1/sessions")[0].body == {"project_path": PROJECT}


async def test_focuses_the_live_session_of_the_project(
    api: ScriptedApi, open_client: OpenClient
) -> None:
    api.add_session("/work/other")
    mine = api.add_session(PROJECT)
    async with open_client() as client:
        await client.sees("1:other", "2:parser")
        assert client.app.workspace.active_id == mine.id
    assert not api.hits("POST", "/v1/sessions")


async def test_a_prompt_is_answered(api: ScriptedApi, open_client: OpenClient) -> None:
    async with open_client() as client:
        await client.sees("Sandbox ready")
        await client.type("hello there")
        await client.sees("hello there", "You said: hello there", "done · offline:demo")
    request = api.hits("POST", "/turns")[0]
    assert request.body == {"prompt": "hello there"}
    assert len(request.headers["idempotency-key"]) >= 16


async def test_text_typed_before_readiness_waits_in_sight(
    api: ScriptedApi, open_client: OpenClient
) -> None:
    api.ready = False
    async with open_client() as client:
        await client.sees("1:parser")
        await client.type("early bird")
        await client.sees("waits for the sandbox", "early bird")
        session_id = client.app.workspace.active_id
        api.change(session_id, "session.ready", status="ready")
        await client.sees("You said: early bird")
        await client.loses("waits for the sandbox")


async def test_a_prompt_sent_while_busy_is_queued(
    api: ScriptedApi, open_client: OpenClient
) -> None:
    api.script = silent
    async with open_client() as client:
        await client.sees("Sandbox ready")
        await client.type("first")
        await client.sees("esc stop")
        await client.type("second")
        await client.sees("queued  second")


async def test_escape_stops_the_turn(api: ScriptedApi, open_client: OpenClient) -> None:
    api.script = silent
    async with open_client() as client:
        await client.sees("Sandbox ready")
        await client.type("long work")
        await client.sees("esc stop")
        await client.pilot.press("escape")
        await client.sees("cancelled")
    assert api.hits("POST", "/cancel")


async def test_an_ask_is_not_answered_by_typing(api: ScriptedApi, open_client: OpenClient) -> None:
    api.script = asking
    async with open_client() as client:
        await client.sees("Sandbox ready")
        await client.type("clean")
        await client.sees("Allow running rm -rf build", "y once")
        await client.type("yan also", enter=False)
        await client.pilot.press("y")
        assert client.prompt.text == "yan alsoy"
        assert not api.hits("POST", "/call-1")
        await client.pilot.pause(0.8)
        await client.pilot.press("y")
        await client.until(lambda: api.hits("POST", "/call-1"))
        assert api.hits("POST", "/call-1")[0].body == {"decision": "once"}
        assert client.prompt.text == "yan alsoy"
        await client.loses("Allow running")


async def test_enter_never_approves(api: ScriptedApi, open_client: OpenClient) -> None:
    api.script = asking
    async with open_client() as client:
        await client.sees("Sandbox ready")
        await client.type("clean")
        await client.sees("Allow running")
        await client.pilot.pause(0.8)
        await client.pilot.press("enter", "enter")
        await client.pilot.pause(0.1)
        assert not api.hits("POST", "/call-1")
        await client.pilot.press("n")
        await client.until(lambda: api.hits("POST", "/call-1"))
        assert api.hits("POST", "/call-1")[0].body == {"decision": "deny"}
        await client.sees("refused")


async def test_an_answer_given_elsewhere_is_told(api: ScriptedApi, open_client: OpenClient) -> None:
    api.script = asking
    async with open_client() as client:
        await client.sees("Sandbox ready")
        await client.type("clean")
        await client.sees("Allow running")
        api.refusals["POST", "call-1"] = Refusal(409, "approval_already_answered", "Answered.")
        await client.pilot.pause(0.8)
        await client.pilot.press("a")
        await client.sees("Answered.")
        await client.loses("Allow running")


async def test_tabs_keep_their_drafts(api: ScriptedApi, open_client: OpenClient) -> None:
    api.add_session(PROJECT)
    api.add_session("/work/other")
    async with open_client() as client:
        await client.sees("1:parser", "2:other")
        await client.type("half a thought", enter=False)
        await client.pilot.press("alt+2")
        await client.until(lambda: client.prompt.text == "")
        await client.type("another", enter=False)
        await client.pilot.press("ctrl+1")
        await client.until(lambda: client.prompt.text == "half a thought")
        await client.pilot.press("alt+right")
        await client.until(lambda: client.prompt.text == "another")
        await client.pilot.press("alt+0")
        await client.sees("There is no tab 0")


async def test_a_hidden_tab_marks_what_is_unread(api: ScriptedApi, open_client: OpenClient) -> None:
    other = api.add_session("/work/other")
    api.add_session(PROJECT)
    async with open_client() as client:
        await client.sees("2:parser")
        await client.live(other.id)
        turn = api.begin_turn(other.id, "go")
        await client.sees("● 1:other")
        api.say(other.id, turn, "Finished.")
        api.finish(turn)
        await client.sees("1:other •")
        await client.pilot.press("alt+1")
        await client.sees("Finished.")
        await client.loses("•")


async def test_a_hidden_tab_marks_that_its_sandbox_met_a_limit(
    api: ScriptedApi, open_client: OpenClient
) -> None:
    other = api.add_session("/work/other")
    own = api.add_session(PROJECT)
    full = {"level": "error", "code": "sandbox_disk_full", "text": "The disk is full."}
    async with open_client() as client:
        await client.sees("2:parser")
        await client.live(other.id)
        await client.live(own.id)
        api.emit(own.id, "notice", full)
        # The tab that is looked at shows the line itself.
        await client.sees("The disk is full.")
        await client.sees("○ 2:parser")
        api.emit(other.id, "sandbox.oom", {"sandbox": "alive", "detail": "One was killed."})
        await client.sees("! 1:other")
        await client.pilot.press("alt+1")
        await client.sees("One was killed.")
        await client.sees("○ 1:other")


async def test_history_comes_back_with_up(api: ScriptedApi, open_client: OpenClient) -> None:
    async with open_client() as client:
        await client.sees("Sandbox ready")
        await client.type("one")
        await client.type("two")
        await client.type("draft", enter=False)
        await client.pilot.press("up")
        assert client.prompt.text == "two"
        await client.pilot.press("up")
        assert client.prompt.text == "one"
        await client.pilot.press("down", "down")
        assert client.prompt.text == "draft"


async def test_line_breaks_do_not_send(api: ScriptedApi, open_client: OpenClient) -> None:
    async with open_client() as client:
        await client.sees("Sandbox ready")
        await client.type("a", enter=False)
        await client.pilot.press("ctrl+j")
        await client.type("b", enter=False)
        await client.pilot.press("shift+enter")
        await client.type("c")
        await client.until(lambda: api.hits("POST", "/turns"))
    assert api.hits("POST", "/turns")[0].body == {"prompt": "a\nb\nc"}


async def test_reconnects_and_misses_nothing(api: ScriptedApi, open_client: OpenClient) -> None:
    session = api.add_session(PROJECT)
    async with open_client() as client:
        await client.live(session.id)
        turn = api.begin_turn(session.id, "go")
        await client.sees("go")
        api.drop_streams()
        api.say(session.id, turn, "Said while away.")
        api.finish(turn)
        await client.sees("Said while away.", "done")
        assert client.screen_text().count("Said while away.") == 1
    followed = api.hits("GET", f"{session.id}/events")
    assert followed[-1].headers["last-event-id"] != "0"


async def test_reloads_when_the_place_is_gone(api: ScriptedApi, open_client: OpenClient) -> None:
    session = api.add_session(PROJECT)
    async with open_client() as client:
        await client.live(session.id)
        turn = api.begin_turn(session.id, "go")
        await client.sees("go")
        api.drop_streams()
        api.say(session.id, turn, "From the transcript.")
        api.finish(turn)
        api.trimmed[session.id] = api.sessions[session.id].last_seq
        await client.sees("From the transcript.")


async def test_a_server_that_is_away_is_waited_for(
    api: ScriptedApi, open_client: OpenClient
) -> None:
    port = int(api.url.rpartition(":")[2])
    await api.stop()
    async with open_client() as client:
        await client.sees("No server answers", "no server, trying again")
        await client.type("typed meanwhile")
        await client.sees("waits for the session", "typed meanwhile")
        await api.start(port)
        await client.sees("You said: typed meanwhile")


async def test_a_wrong_token_is_not_tried_again(api: ScriptedApi, open_client: OpenClient) -> None:
    async with open_client(token="wrong") as client:
        await client.sees("The token is wrong. Check JIDO_TOKEN.")
        await client.pilot.pause(0.6)
    assert len(api.requests) == 1


async def test_offers_the_saved_session_and_takes_its_place(
    api: ScriptedApi, open_client: OpenClient
) -> None:
    api.add_saved(PROJECT, "parser before")
    async with open_client() as client:
        await client.sees("Go on with “parser before”")
        await client.pilot.press("f2")
        await client.sees("1:parser before", "What was said before.")
        assert len(client.app.workspace.sessions) == 1
        await client.loses("Go on with")


async def test_closing_what_works_asks_first(api: ScriptedApi, open_client: OpenClient) -> None:
    api.script = silent
    async with open_client() as client:
        await client.sees("Sandbox ready")
        await client.type("long work")
        await client.sees("esc stop")
        await client.pilot.press("ctrl+w")
        await client.sees("Close it and stop the turn?")
        await client.pilot.pause(0.8)
        await client.pilot.press("y")
        await client.sees("No session is open.")
    assert api.hits("DELETE", api.requests[-1].path)


async def test_completes_commands_and_files(api: ScriptedApi, open_client: OpenClient) -> None:
    async with open_client() as client:
        await client.sees("Sandbox ready")
        await client.type("/the", enter=False)
        await client.sees("dark, light or high_contrast")
        await client.pilot.press("tab")
        assert client.prompt.text == "/theme "
        await client.sees("/theme dark")
        await client.pilot.press("down", "tab", "enter")
        await client.until(lambda: client.app.theme == "light")
        await client.type("look at @blank", enter=False)
        await client.sees("src/with blank.txt")
        await client.pilot.press("enter")
        assert client.prompt.text == 'look at @"src/with blank.txt" '
        await client.type("/", enter=False)
        await client.pilot.press("ctrl+c")
        assert client.prompt.text == ""


async def test_popup_closes_with_escape_and_stays_closed(
    api: ScriptedApi, open_client: OpenClient
) -> None:
    async with open_client() as client:
        await client.sees("Sandbox ready")
        await client.type("/qui", enter=False)
        await client.sees("leave; sessions go on")
        await client.pilot.press("escape")
        await client.loses("leave; sessions go on")
        await client.pilot.press("t", "enter")
        await client.until(lambda: client.app.return_value == 0)


async def test_a_command_of_the_person_streams_in(
    api: ScriptedApi, open_client: OpenClient
) -> None:
    async with open_client() as client:
        await client.sees("Sandbox ready")
        await client.type("!ls")
        await client.sees("$ ls", "exit 0", "ran ls")
        await client.type("!false")
        await client.sees("$ false", "exit 3")


async def test_refusals_stand_in_place(api: ScriptedApi, open_client: OpenClient) -> None:
    api.refusals["POST", "turns"] = Refusal(422, "prompt_too_long", "The prompt is too long.")
    async with open_client() as client:
        await client.sees("Sandbox ready")
        await client.type("endless")
        await client.sees("The prompt is too long.")
        await client.until(lambda: client.prompt.text == "endless")


async def test_bytes_from_the_sandbox_never_reach_the_terminal_raw(
    api: ScriptedApi, open_client: OpenClient
) -> None:
    session = api.add_session(PROJECT, name="evil\x1b]0;title\x07name")
    async with open_client() as client:
        await client.live(session.id)
        turn = api.begin_turn(session.id, "go")
        call = {"turn_id": turn.id, "call_id": new_id()}
        arguments = {"command": "printf \x1b[2J"}
        api.emit(session.id, "tool.call", {**call, "name": "run_command", "arguments": arguments})
        for piece in ("red \x1b[3", "1mtext\x9b2J\x07 \u202eback", "\ud800 end"):
            api.emit(session.id, "tool.output", {**call, "stream": "stdout", "text": piece})
        api.say(session.id, turn, "entity &#27;[2J and \x1b[2J raw")
        await client.sees("red text back", "entity", "evilname")
        strips = client.app.screen._compositor.render_strips(client.app.size)
        for strip in strips:
            assert all(character.isprintable() for character in strip.text)


async def test_works_in_small_terminals(api: ScriptedApi, open_client: OpenClient) -> None:
    api.add_session(PROJECT)
    api.add_session("/work/other", config=SessionConfig(provider="openai", model="gpt-9"))
    for size in ((40, 12), (20, 8), (20, 6)):
        async with open_client(size=size) as client:
            await client.sees("1")
            await client.type("hi")
            await client.sees("done")
    async with open_client(size=(12, 4)) as client:
        await client.sees("Too small")
        await client.pilot.resize_terminal(60, 20)
        await client.sees("1:parser")


async def test_walks_folds_and_scrolls(api: ScriptedApi, open_client: OpenClient) -> None:
    session = api.add_session(PROJECT)
    turn = api.begin_turn(session.id, "go")
    for number in range(40):
        call = {"turn_id": turn.id, "call_id": f"c{number}"}
        arguments = {"path": f"file{number}.py"}
        api.emit(session.id, "tool.call", {**call, "name": "read_file", "arguments": arguments})
        result = {"status": "ok", "text": f"content {number}", "elapsed_ms": 1.0}
        api.emit(session.id, "tool.result", {**call, **result})
    async with open_client() as client:
        await client.sees("Read file39.py")
        assert "content 39" not in client.screen_text()
        await client.pilot.press("alt+up", "f4")
        await client.sees("content 39")
        await client.pilot.press("f4")
        await client.loses("content 39")
        await client.pilot.press("pageup")
        await client.sees("rows", "back to the end")
        await client.pilot.press("ctrl+home")
        await client.sees("Read file0.py")
        await client.pilot.press("ctrl+end")
        await client.sees("Read file39.py")
        await client.loses("back to the end")
        await client.pilot.press("f4")
        await client.sees("content 39")


async def test_the_unused_session_opened_unasked_is_closed_on_leaving(
    api: ScriptedApi, open_client: OpenClient
) -> None:
    async with open_client() as client:
        await client.sees("Sandbox ready")
        await client.pilot.press("ctrl+q")
        await client.until(lambda: not api.sessions)
    async with open_client() as client:
        await client.sees("Sandbox ready")
        await client.type("hello")
        await client.sees("You said: hello")
        await client.type("/quit")
        await client.until(lambda: client.app.return_code is not None)
    assert len(api.sessions) == 1


async def test_a_session_found_open_is_not_closed_on_leaving(
    api: ScriptedApi, open_client: OpenClient
) -> None:
    api.add_session(PROJECT)
    async with open_client() as client:
        await client.sees("Sandbox ready")
        await client.type("/quit")
        await client.until(lambda: client.app.return_code is not None)
    assert len(api.sessions) == 1
    assert not [r for r in api.requests if r.method == "DELETE"]


async def test_an_accepted_offer_takes_the_place_of_the_empty_session(
    api: ScriptedApi, open_client: OpenClient
) -> None:
    saved = api.add_saved(PROJECT, "yesterday")
    async with open_client() as client:
        await client.sees("1:parser", "Go on with “yesterday”")
        await client.type("/session new /work/other")
        await client.sees("2:other")
        await client.pilot.press("alt+1")
        await client.type("a thought", enter=False)
        empty = client.app.workspace.active_id
        await client.pilot.press("f2")
        await client.sees("1:yesterday", "2:other", "What was said before.")
        await client.loses("Go on with")
        assert client.prompt.text == "a thought"
        assert empty not in client.app.workspace.sessions
        assert "closed elsewhere" not in client.screen_text()
    assert api.hits("POST", f"{saved.id}/resume")[0].body == {"replaces": empty}


async def test_a_refused_offer_keeps_the_session_there(
    api: ScriptedApi, open_client: OpenClient
) -> None:
    api.add_saved(PROJECT, "yesterday")
    api.refusals["POST", "resume"] = Refusal(422, "saved_session_unreadable", "It is damaged.")
    async with open_client() as client:
        await client.sees("Go on with “yesterday”")
        await client.pilot.press("f2")
        await client.sees("It is damaged.", "1:parser")
        await client.type("still here")
        await client.sees("You said: still here")


async def test_sessions_opened_and_closed_elsewhere_come_and_go(
    api: ScriptedApi, open_client: OpenClient
) -> None:
    async with open_client() as client:
        await client.sees("1:parser", "Sandbox ready")
        mine = client.app.workspace.active_id
        await client.until(lambda: api.hits("GET", "/v1/events"))
        other = api.add_session("/work/other")
        await client.sees("1:parser", "2:other")
        assert client.app.workspace.active_id == mine
        await client.live(other.id)
        api.change(other.id, "session.closed", status="closing")
        del api.sessions[other.id]
        await client.loses("2:other")
        await client.sees("“other” was closed elsewhere.")


async def test_what_happened_while_away_is_seen_on_reconnecting(
    api: ScriptedApi, open_client: OpenClient
) -> None:
    gone = api.add_session("/work/gone")
    async with open_client() as client:
        await client.sees("1:gone", "2:parser")
        await client.until(lambda: api.hits("GET", "/v1/events"))
        api.drop_streams()
        del api.sessions[gone.id]
        api.add_session("/work/fresh")
        await client.sees("1:parser", "2:fresh", "“gone” was closed elsewhere.")


async def test_a_prompt_without_a_session_opens_this_directory(
    api: ScriptedApi, open_client: OpenClient
) -> None:
    async with open_client() as client:
        await client.sees("Sandbox ready")
        await client.pilot.press("ctrl+w")
        await client.sees("No session is open.")
        await client.type("hello again")
        await client.sees("1:parser", "You said: hello again")


async def test_a_projects_own_theme_is_its_tabs_alone(
    api: ScriptedApi, open_client: OpenClient
) -> None:
    api.add_session(PROJECT, theme="light")
    api.add_session("/work/other")
    async with open_client() as client:
        await client.sees("1:parser", "2:other")
        await client.until(lambda: client.app.theme == "light")
        await client.pilot.press("alt+2")
        await client.until(lambda: client.app.theme == "dark")
        await client.type("/theme high_contrast")
        await client.until(lambda: client.app.theme == "high_contrast")
        await client.pilot.press("alt+1")
        await client.until(lambda: client.app.workspace.at(1) is client.app.workspace.active)
        await client.pilot.pause(0.1)
        assert client.app.theme == "high_contrast"


async def test_what_was_told_at_the_start_is_seen(
    api: ScriptedApi, open_client: OpenClient
) -> None:
    session = api.add_session(PROJECT)
    text = "The project's .jido_code/settings.json also sets approval."
    api.emit(session.id, "notice", {"level": "warning", "code": "x", "text": text})
    async with open_client() as client:
        await client.sees(text)
        turn = api.begin_turn(session.id, "go")
        api.say(session.id, turn, "Gone.")
        api.finish(turn)
        await client.sees("Gone.")
    async with open_client() as client:
        await client.sees(text, "Gone.")
        assert client.screen_text().count("Gone.") == 1
        assert client.screen_text().count("▌ go") == 1


async def test_a_session_that_is_just_being_closed_is_waited_for(
    api: ScriptedApi, open_client: OpenClient
) -> None:
    closing = api.add_session(PROJECT, "before", status="closing")
    async with open_client() as client:
        await client.until(lambda: api.hits("POST", "/v1/sessions"))
        api.change(closing.id, "session.closed", status="closing")
        del api.sessions[closing.id]
        await client.sees("1:parser", "Sandbox ready")
