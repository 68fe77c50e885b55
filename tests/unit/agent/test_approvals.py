"""What waits for the user's word, and what becomes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.agent.policy import approval_reason, needs_approval
from orchestrator.agent.request import Approval
from orchestrator.domain.history import Answer
from tests.unit.agent.stage import Play

PROMPT = "write a.txt text\nrun echo ran > b.txt\nlua return 1\nread a.txt"


@pytest.mark.parametrize(
    ("approval", "asked"),
    [
        ("ask", ["write_file", "run_command", "lua"]),
        ("edits", ["run_command", "lua"]),
        ("all", []),
    ],
)
async def test_each_mode_asks_for_its_tools(
    tmp_path: Path, approval: Approval, asked: list[str]
) -> None:
    stage = Play(tmp_path, approval=approval)
    outcome = await stage.prompt(PROMPT)
    waited = []
    while outcome.status == "awaiting_approval":
        (pending,) = outcome.approvals
        waited.append(pending.tool)
        assert pending.reason
        outcome = await stage.go_on({pending.call_id: Answer(decision="once")})
    assert waited == asked
    assert outcome.status == "completed"
    assert (tmp_path / "b.txt").read_text() == "ran\n"
    calls = [data["call_id"] for data in stage.sink.of("tool.call")]
    assert len(calls) == len(set(calls)) == 4
    assert [data["status"] for data in stage.sink.of("tool.result")] == ["ok"] * 4


@pytest.mark.parametrize("approval", ["ask", "edits", "all"])
def test_what_starts_or_feeds_a_command_asks_and_what_looks_or_stops_does_not(
    approval: Approval,
) -> None:
    for tool in ("run_command", "start_command", "send_input"):
        assert needs_approval(tool, approval, frozenset()) is (approval != "all")
        assert not needs_approval(tool, approval, frozenset({tool}))
        assert "tool of the project" not in approval_reason(tool)
    # Allowing one of them allows no other.
    assert needs_approval("send_input", approval, frozenset({"start_command"})) is (
        approval != "all"
    )
    for tool in ("check_command", "stop_command"):
        assert not needs_approval(tool, approval, frozenset())


async def test_nothing_happens_before_the_word_and_a_no_is_told_to_the_model(
    tmp_path: Path,
) -> None:
    stage = Play(tmp_path, approval="ask")
    outcome = await stage.prompt("write a.txt text\nsay goodbye")
    assert not (tmp_path / "a.txt").exists()
    (pending,) = outcome.approvals
    assert pending.arguments == {"path": "a.txt", "content": "text\n"}
    denied = Answer(decision="deny", reason="not this file")
    outcome = await stage.go_on({pending.call_id: denied})
    assert outcome.status == "completed"
    assert not (tmp_path / "a.txt").exists()
    (result,) = stage.sink.of("tool.result")
    assert result["status"] == "denied"
    assert "not this file" in result["text"]
    assert "goodbye" in stage.sink.text()


async def test_a_tool_allowed_for_the_session_is_not_asked_for(tmp_path: Path) -> None:
    stage = Play(tmp_path, approval="ask", allowed_tools=frozenset({"write_file"}))
    outcome = await stage.prompt("write a.txt text")
    assert outcome.status == "completed"
    assert (tmp_path / "a.txt").read_text() == "text\n"


async def test_a_new_prompt_closes_a_question_that_was_never_answered(tmp_path: Path) -> None:
    stage = Play(tmp_path, approval="ask")
    await stage.prompt("write a.txt text")
    outcome = await stage.prompt("say never mind")
    assert outcome.status == "completed"
    (result,) = stage.sink.of("tool.result")
    assert result["status"] == "interrupted"
    assert not (tmp_path / "a.txt").exists()


async def test_answers_to_calls_that_ran_are_of_no_more_use(tmp_path: Path) -> None:
    stage = Play(tmp_path, approval="ask")
    answers: dict[str, Answer] = {}
    outcome = await stage.prompt("run echo one >> log\nrun echo two >> log\nrun echo three >> log")
    while outcome.status == "awaiting_approval":
        answers[outcome.approvals[0].call_id] = Answer(decision="once")
        outcome = await stage.go_on(answers)
    assert (tmp_path / "log").read_text() == "one\ntwo\nthree\n"
