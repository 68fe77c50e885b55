"""A command in the background outlives the turn, and the worker process, that started it."""

from __future__ import annotations

from pathlib import Path

from orchestrator.domain.session import Session
from tests.integration.worker.conftest import StartWorker
from tests.integration.worker.stage import Stage, alive, until
from tests.support.model_server import Call, ModelServer, Reply, Rule, Script
from tests.support.toolserver import ToolServer

SERVE = "echo $$ > pid; echo listening; read line; echo got $line; sleep 300"


def _rule(prompt: str, *calls: Call) -> Rule:
    replies = [Reply(calls=[call]) for call in calls]
    return Rule(match=prompt, replies=[*replies, Reply(text="Done.")])


SCRIPT = Script(
    rules=[
        _rule("start it", Call(name="start_command", arguments={"command": SERVE})),
        _rule(
            "look at it",
            Call(name="check_command"),
            Call(name="check_command", arguments={"command_id": "job-1", "until": "listening"}),
        ),
        _rule(
            "write to it",
            Call(name="send_input", arguments={"command_id": "job-1", "text": "hello\n"}),
            Call(name="stop_command", arguments={"command_id": "job-1"}),
            Call(name="check_command", arguments={"command_id": "job-2"}),
        ),
    ]
)


async def _results(stage: Stage, session: Session, prompt: str) -> list[tuple[str, str]]:
    """Run a turn; returns status and text of each tool's result."""
    turn = await stage.over(await stage.prompt(session, prompt))
    assert (turn.status, turn.error) == ("completed", None)
    events = [e for e in await stage.events(session) if e.type == "tool.result"]
    return [(e.data["status"], e.data["text"]) for e in events if e.data["turn_id"] == turn.id]


async def test_a_later_turn_looks_at_it_writes_to_it_and_stops_it(
    stage: Stage, tools: ToolServer, start_worker: StartWorker
) -> None:
    async with ModelServer.running() as model:
        model.script = SCRIPT
        start_worker(JIDO_OPENAI_BASE_URL=model.base_url, OPENAI_API_KEY="test")
        session = await stage.session(tools, "openai:scripted")
        ((status, text),) = await _results(stage, session, "start it")
        assert (status, text.startswith("Started job-1.\n")) == ("ok", True)
        pid_file: Path = tools.root / "pid"
        await until(lambda: pid_file.exists() and pid_file.read_text().strip(), "it runs")
        pid = int(pid_file.read_text())
        listed, seen = await _results(stage, session, "look at it")
        assert listed == ("ok", f"job-1 (running): {SERVE}")
        assert seen == ("ok", "[output so far]\nlistening\n[job-1 is running]")
        assert alive(pid)
        answered, stopped, unknown = await _results(stage, session, "write to it")
        assert answered[1] == "[output so far]\nlistening\ngot hello\n[job-1 is running]"
        assert stopped == ("ok", "(nothing new)\n[job-1 has exited]\n[exit code: 137]")
        assert unknown[0] == "error"
        await until(lambda: not alive(pid), "it is gone", 10)
        assert "check_command" in str(model.requests[0].body["tools"])
