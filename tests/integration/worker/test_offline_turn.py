"""A whole turn of the offline model: queue, worker, agent, tools in the sandbox, records."""

from __future__ import annotations

from orchestrator.domain.events import Event
from tests.integration.worker.stage import Stage, WorkerProcess
from tests.support.toolserver import ToolServer

PROMPT = """\
say hello
write notes/a.txt <<END
first line
second line
END
read notes/a.txt
edit notes/a.txt "second" "third"
list
grep line
run cat notes/a.txt; echo problem >&2; exit 3
lua return jido.read_file("notes/a.txt")
todo look; do; check
"""


def _of(events: list[Event], kind: str) -> list[Event]:
    return [event for event in events if event.type == kind]


async def test_real_tools_are_driven_and_everything_is_told(
    stage: Stage, tools: ToolServer, shared_worker: WorkerProcess
) -> None:
    session = await stage.session(tools)
    turn = await stage.over(await stage.prompt(session, PROMPT))
    assert (turn.status, turn.error) == ("completed", None)
    assert (tools.root / "notes/a.txt").read_text() == "first line\nthird line\n"
    events = await stage.events(session)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    called = [event.data["name"] for event in _of(events, "tool.call")]
    assert called == [
        "write_file", "read_file", "edit_file", "list_files", "grep", "run_command", "lua",
        "write_plan",
    ]  # fmt: skip
    results = _of(events, "tool.result")
    assert {event.data["status"] for event in results} == {"ok"}
    assert "exit code: 3" in results[5].data["text"]
    assert "third line" in results[6].data["text"]
    shown = {(e.data["stream"], e.data["text"]) for e in _of(events, "tool.output")}
    assert shown == {("stdout", "first line\nthird line\n"), ("stderr", "problem\n")}
    assert turn.usage.output_tokens > 0
    assert turn.usage.cost_usd == 0.0
    assert [todo.content for todo in await stage.store.history.todos(session.id)] == [
        "look", "do", "check",
    ]  # fmt: skip


async def test_deltas_build_exactly_the_messages_of_the_transcript(
    stage: Stage, tools: ToolServer, shared_worker: WorkerProcess
) -> None:
    session = await stage.session(tools)
    await stage.over(await stage.prompt(session, "think first\nsay one two three\nrun true"))
    page = await stage.store.history.messages(session.id, None, 100)
    assert [message.role for message in page.items][:2] == ["user", "assistant"]
    streamed: dict[str, str] = {}
    for event in await stage.events(session):
        if event.type in ("text.delta", "reasoning.delta"):
            key = event.data["message_id"] + event.type.partition(".")[0]
            streamed[key] = streamed.get(key, "") + event.data["text"]
    for message in page.items[1:]:
        for part in message.parts:
            if part.type in ("text", "reasoning"):
                assert streamed.pop(message.id + part.type) == part.text
    assert not streamed


async def test_prompts_wait_their_turn_and_the_conversation_goes_on(
    stage: Stage, tools: ToolServer, shared_worker: WorkerProcess
) -> None:
    session = await stage.session(tools)
    turns = [await stage.prompt(session, f"run echo {i} >> log.txt") for i in range(4)]
    for turn in turns:
        assert (await stage.over(turn)).status == "completed"
    assert (tools.root / "log.txt").read_text() == "0\n1\n2\n3\n"


async def test_anything_else_is_answered_with_the_language(
    stage: Stage, tools: ToolServer, shared_worker: WorkerProcess
) -> None:
    session = await stage.session(tools)
    await stage.over(await stage.prompt(session, "please write me a compiler"))
    page = await stage.store.history.messages(session.id, None, 10)
    text = page.items[-1].parts[0].text  # type: ignore[union-attr]
    assert "offline model" in text
    assert "ANTHROPIC_API_KEY" in text
    assert "edit PATH" in text


async def test_a_model_without_key_fails_with_the_variable_to_set(
    stage: Stage, tools: ToolServer, shared_worker: WorkerProcess
) -> None:
    session = await stage.session(tools, "anthropic:claude-test")
    turn = await stage.over(await stage.prompt(session, "hello"))
    assert turn.status == "failed"
    assert turn.error is not None
    assert turn.error.code == "model_authentication_failed"
    assert "ANTHROPIC_API_KEY" in turn.error.message


async def test_a_dead_sandbox_fails_the_turn_and_the_session_can_go_on(
    stage: Stage, tools: ToolServer, shared_worker: WorkerProcess
) -> None:
    session = await stage.session(tools)
    tools.stop()
    turn = await stage.over(await stage.prompt(session, "run true"))
    assert turn.error is not None
    assert turn.error.code == "sandbox_unavailable"
    assert (await stage.store.sessions.get(session.id)).activity == "idle"
