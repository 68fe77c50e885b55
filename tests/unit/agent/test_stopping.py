"""Turns that end before their end: cancelled, interrupted, broken."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from pydantic_ai.messages import ModelMessagesTypeAdapter, ModelRequest, ModelResponse
from pydantic_ai.workspaces import LocalWorkspaceBackend, WorkspaceUnavailableError

from orchestrator.agent.conversation import close_open_calls, open_calls
from orchestrator.agent.parts import HistoryUnreadable, from_json
from orchestrator.agent.request import StopReason, StopSignal
from orchestrator.domain.history import HistoryEntry
from tests.unit.agent.stage import Play


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("reason", ["cancelled", "interrupted"])
async def test_a_running_command_dies_and_its_call_is_closed(
    tmp_path: Path, reason: StopReason
) -> None:
    stage, stop = Play(tmp_path), StopSignal()
    command = "run echo $$ > pid; sleep 60"
    running = asyncio.create_task(stage.prompt(f"write first.txt x\n{command}\nrun touch z", stop))
    pid_file = tmp_path / "pid"
    await asyncio.wait_for(_exists(pid_file), 20)
    stop.ask(reason)
    outcome = await asyncio.wait_for(running, 10)
    assert outcome.status == reason
    assert stage.sink.of("tool.result")[-1]["status"] == reason
    assert stage.sink.messages[-1].parts[0].status == reason  # type: ignore[union-attr]
    assert not alive(int(pid_file.read_text()))
    assert open_calls(from_json(stage.sink.model_history)) == []
    assert not (tmp_path / "z").exists()
    after = await stage.prompt("say on we go")
    assert after.status == "completed"
    assert not (tmp_path / "z").exists()


async def _exists(path: Path) -> None:
    while not (path.exists() and path.read_text().strip()):  # noqa: ASYNC110 - another process writes it
        await asyncio.sleep(0.02)


async def test_words_that_were_said_stay(tmp_path: Path) -> None:
    stage, stop = Play(tmp_path), StopSignal()
    running = asyncio.create_task(stage.prompt("say something worth keeping\nsleep 30", stop))
    await stage.sink.until(lambda: "sleeping" in stage.sink.text())
    stop.ask("cancelled")
    assert (await running).status == "cancelled"
    message = stage.sink.messages[-1]
    assert message.interrupted
    assert "worth keeping" in message.parts[0].text  # type: ignore[union-attr]
    assert isinstance(from_json(stage.sink.model_history)[-1], ModelResponse)


async def test_stopping_before_anything_was_said(tmp_path: Path) -> None:
    stage, stop = Play(tmp_path), StopSignal()
    stop.ask("interrupted")
    assert (await stage.prompt("say hi", stop)).status == "interrupted"
    assert (await stage.prompt("say hi")).status == "completed"


async def test_the_model_failing_is_a_failed_turn_that_keeps_its_words(tmp_path: Path) -> None:
    stage = Play(tmp_path)
    outcome = await stage.prompt("say before\nfail on purpose")
    assert outcome.status == "failed"
    assert outcome.error is not None
    assert outcome.error.code == "model_request_rejected"
    assert "on purpose" in outcome.error.message
    assert stage.sink.messages[-1].interrupted


class Gone(LocalWorkspaceBackend):
    """A sandbox that dies when a command runs."""

    async def run(self, *_: object, **__: object) -> object:  # type: ignore[override]
        raise WorkspaceUnavailableError("the sandbox is gone")


async def test_a_dying_sandbox_fails_the_turn_and_closes_its_call(tmp_path: Path) -> None:
    stage = Play(tmp_path, workspace=Gone(tmp_path))
    outcome = await stage.prompt("run true")
    assert outcome.error is not None
    assert outcome.error.code == "sandbox_unavailable"
    assert stage.sink.of("tool.result")[-1]["status"] == "interrupted"
    assert open_calls(from_json(stage.sink.model_history)) == []


async def test_a_history_that_ends_in_a_call_is_closed_for_a_worker_that_is_gone(
    tmp_path: Path,
) -> None:
    stage = Play(tmp_path, approval="ask")
    await stage.prompt("run touch never")
    entries, events = close_open_calls("turn", stage.sink.model_history, "interrupted")
    assert [event.type for event in events] == ["tool.result", "message.assistant"]
    history = [*stage.sink.model_history, *[entry.model for entry in entries if entry.model]]
    assert open_calls(from_json(history)) == []
    assert close_open_calls("turn", history, "interrupted") == ([], [])
    last = ModelMessagesTypeAdapter.validate_python(history)[-1]
    assert isinstance(last, ModelRequest)


async def test_a_history_that_is_none_is_said_so(tmp_path: Path) -> None:
    """As of a conversation that was imported by hand."""
    stage = Play(tmp_path)
    await stage.sink.record([HistoryEntry(model={"kind": "response", "parts": [{"x": 1}]})], [])
    with pytest.raises(HistoryUnreadable, match="go on in a new session") as caught:
        await stage.prompt("say hello")
    assert caught.value.code == "history_unreadable"
