"""Turns through the real clients of providers, against a scripted server on this machine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from orchestrator.agent.request import StopSignal
from tests.support.model_server import Call, Failure, ModelServer, Reply, Script
from tests.unit.agent.stage import Play

ALL = [
    "openai:scripted",
    "openai-responses:scripted",
    "anthropic:claude-scripted",
    "google:gemini-scripted",
    "ollama:scripted",
]


@pytest_asyncio.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with ModelServer.running() as running:
        yield running


def play(tmp_path: Path, server: ModelServer, model: str = "openai:scripted") -> Play:
    return Play(
        tmp_path,
        model,
        openai_base_url=server.base_url,
        anthropic_base_url=server.root_url,
        google_base_url=server.root_url,
        ollama_base_url=server.base_url,
    )


def two_steps(*failures: Failure) -> Script:
    call = Call(name="write_file", arguments={"path": "made.txt", "content": "made\n"})
    return Script(
        replies=[
            Reply(text="I write it.", calls=[call], failures=list(failures)),
            Reply(text="It is done now."),
        ]
    )


@pytest.mark.parametrize("model", ALL)
async def test_a_turn_with_a_tool_call(tmp_path: Path, server: ModelServer, model: str) -> None:
    server.script = two_steps()
    stage = play(tmp_path, server, model)
    outcome = await stage.prompt("make the file")
    assert (outcome.status, outcome.error) == ("completed", None)
    assert (tmp_path / "made.txt").read_text() == "made\n"
    assert stage.sink.text() == "I write it.It is done now."
    assert [m.parts[0].type for m in stage.sink.messages] == ["text", "tool_result", "text"]
    assert outcome.usage.input_tokens == 22
    assert outcome.usage.output_tokens == 14
    assert outcome.usage.cost_usd == (0.0 if model.startswith("ollama:") else None)
    offered = {str(tool) for tool in server.requests[0].body["tools"]}
    for name in ("read_file", "write_file", "edit_file", "list_files", "grep", "run_command",
                 "lua", "write_plan"):  # fmt: skip
        assert any(f"'{name}'" in tool for tool in offered), name


@pytest.mark.parametrize("model", ALL)
async def test_the_next_turn_is_sent_the_whole_conversation(
    tmp_path: Path, server: ModelServer, model: str
) -> None:
    stage = play(tmp_path, server, model)
    await stage.prompt("first question")
    await stage.prompt("second question")
    sent = str(server.requests[-1].body)
    assert "first question" in sent
    assert "Scripted answer." in sent
    assert server.requests[-1].prompt == "second question"


@pytest.mark.parametrize("model", ALL)
@pytest.mark.parametrize(
    ("status", "code", "told"),
    [
        (401, "model_authentication_failed", "_API_KEY"),
        (403, "model_authentication_failed", "_API_KEY"),
        (404, "model_not_found", "/model"),
        (400, "model_request_rejected", "scripted failure"),
    ],
)
async def test_refusals_are_not_tried_again(
    tmp_path: Path, server: ModelServer, model: str, status: int, code: str, told: str
) -> None:
    server.script = two_steps(*[Failure(status=status)] * 9)
    outcome = await play(tmp_path, server, model).prompt("go")
    assert outcome.status == "failed"
    assert outcome.error is not None
    assert outcome.error.code == code
    assert told in outcome.error.message
    assert len(server.requests) == 1


@pytest.mark.parametrize("model", ALL)
async def test_too_many_requests_waits_as_asked_and_says_so(
    tmp_path: Path, server: ModelServer, model: str
) -> None:
    server.script = two_steps(Failure(status=429, retry_after=0.3))
    stage = play(tmp_path, server, model)
    started = time.monotonic()
    outcome = await stage.prompt("go")
    assert outcome.status == "completed"
    assert time.monotonic() - started >= 0.25
    (notice,) = stage.sink.of("notice")
    assert (notice["level"], notice["code"]) == ("warning", "model_rate_limited")
    assert "Trying again" in notice["text"]


async def test_a_pause_longer_than_a_minute_is_not_waited_for(
    tmp_path: Path, server: ModelServer
) -> None:
    server.script = two_steps(Failure(status=429, retry_after=3600))
    outcome = await play(tmp_path, server).prompt("go")
    assert outcome.error is not None
    assert outcome.error.code == "model_rate_limited"


@pytest.mark.parametrize("failure", [Failure(status=500), Failure(status=0, drop=True)])
async def test_a_failing_provider_gets_a_few_tries(
    tmp_path: Path, server: ModelServer, failure: Failure
) -> None:
    server.script = two_steps(failure, failure)
    stage = play(tmp_path, server)
    outcome = await stage.prompt("go")
    assert outcome.status == "completed"
    assert len(stage.sink.of("notice")) == 2
    assert [m.parts[0].type for m in stage.sink.messages] == ["text", "tool_result", "text"]


async def test_a_provider_that_does_not_recover_is_unavailable(
    tmp_path: Path, server: ModelServer
) -> None:
    server.script = two_steps(*[Failure(status=503, retry_after=0)] * 9)
    outcome = await play(tmp_path, server).prompt("go")
    assert outcome.error is not None
    assert outcome.error.code == "model_unavailable"
    assert len(server.requests) == 4


async def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    stage = Play(tmp_path, "ollama:any", openai_base_url="http://127.0.0.1:9/v1")
    stage.model = "openai:any"
    outcome = await stage.prompt("go")
    assert outcome.error is not None
    assert outcome.error.code == "model_unavailable"


@pytest.mark.parametrize("model", ALL)
async def test_a_broken_stream_keeps_what_was_said(
    tmp_path: Path, server: ModelServer, model: str
) -> None:
    words = " ".join(str(number) for number in range(200))
    server.script = Script(replies=[Reply(text=words, break_after=60, chunk_delay_s=0.001)])
    stage = play(tmp_path, server, model)
    outcome = await stage.prompt("go")
    assert outcome.error is not None
    assert outcome.error.code == "model_unavailable"
    (message,) = stage.sink.messages
    assert message.interrupted
    assert message.parts[0].text.startswith("0 1 2 3")  # type: ignore[union-attr]
    assert message.parts[0].text == stage.sink.text()  # type: ignore[union-attr]
    server.script = Script()
    assert (await stage.prompt("again")).status == "completed"


@pytest.mark.parametrize("model", ALL)
async def test_stopping_closes_the_stream_and_keeps_what_was_said(
    tmp_path: Path, server: ModelServer, model: str
) -> None:
    words = " ".join(["word"] * 2000)
    server.script = Script(replies=[Reply(text=words, chunk_delay_s=0.005)])
    stage, stop = play(tmp_path, server, model), StopSignal()
    running = asyncio.create_task(stage.prompt("go", stop))
    await stage.sink.until(lambda: len(stage.sink.text()) >= 100)
    stop.ask("cancelled")
    outcome = await asyncio.wait_for(running, 5)
    assert outcome.status == "cancelled"
    assert stage.sink.messages[-1].interrupted
    assert len(stage.sink.text()) < len(words)
    server.script = Script()
    assert (await stage.prompt("again")).status == "completed"
    assert "word word" in str(server.requests[-1].body)


async def test_text_comes_in_few_events_and_the_first_at_once(
    tmp_path: Path, server: ModelServer
) -> None:
    server.script = Script(replies=[Reply(text="word " * 300, chunk_delay_s=0.001)])
    stage = play(tmp_path, server)
    await stage.prompt("go")
    deltas = stage.sink.of("text.delta")
    assert deltas[0]["text"] == "word"
    assert len(deltas) < 100
    assert stage.sink.text() == "word " * 300


async def test_several_calls_at_once_and_one_that_is_nonsense(
    tmp_path: Path, server: ModelServer
) -> None:
    (tmp_path / "a.txt").write_text("A\n")
    calls = [
        Call(name="read_file", arguments={"path": "a.txt"}),
        Call(name="read_file", arguments={"path": "missing.txt"}),
        Call(name="read_file", raw_arguments='{"nonsense'),
        Call(name="no_such_tool"),
    ]
    server.script = Script(replies=[Reply(calls=calls), Reply(text="I see.")])
    stage = play(tmp_path, server)
    outcome = await stage.prompt("go")
    assert outcome.status == "completed"
    statuses = {data["call_id"][-1]: data["status"] for data in stage.sink.of("tool.result")}
    assert statuses["0"] == "ok"
    assert statuses["2"] == "error"
    assert statuses["3"] == "error"
    assert len(stage.sink.of("tool.call")) == 4


async def test_limits_of_a_turn(tmp_path: Path, server: ModelServer) -> None:
    server.script = two_steps()
    stage = play(tmp_path, server)
    stage.max_model_requests = 1
    outcome = await stage.prompt("go")
    assert outcome.error is not None
    assert outcome.error.code == "budget_reached"


async def test_money_is_counted_limited_and_honest_about_unknown_prices(
    tmp_path: Path, server: ModelServer
) -> None:
    priced = play(tmp_path, server, "openai:gpt-4o-mini")
    outcome = await priced.prompt("go")
    assert outcome.usage.cost_usd is not None
    assert 0 < outcome.usage.cost_usd < 0.01
    priced.max_cost_usd = 0.0
    limited = await priced.prompt("go on")
    assert limited.error is not None
    assert limited.error.code == "budget_reached"
    unpriced = play(tmp_path, server)
    unpriced.max_cost_usd = 1.0
    assert (await unpriced.prompt("go")).status == "completed"
    assert unpriced.sink.of("notice")[0]["code"] == "price_unknown"


async def test_sampling_is_passed_on_and_zero_is_a_zero(
    tmp_path: Path, server: ModelServer
) -> None:
    stage = play(tmp_path, server)
    stage.temperature, stage.max_tokens = 0.0, 123
    await stage.prompt("go")
    body = server.requests[0].body
    assert body["temperature"] == 0.0
    assert 123 in (body.get("max_tokens"), body.get("max_completion_tokens"))


@pytest.mark.parametrize(
    ("model", "variable"),
    [
        ("openai:x", "OPENAI_API_KEY"),
        ("openai-responses:x", "OPENAI_API_KEY"),
        ("anthropic:x", "ANTHROPIC_API_KEY"),
        ("google:x", "GEMINI_API_KEY"),
    ],
)
async def test_a_missing_key_names_its_variable(tmp_path: Path, model: str, variable: str) -> None:
    outcome = await Play(tmp_path, model, environment={}).prompt("go")
    assert outcome.error is not None
    assert outcome.error.code == "model_authentication_failed"
    assert variable in outcome.error.message


async def test_a_compatible_server_needs_no_key(tmp_path: Path, server: ModelServer) -> None:
    stage = play(tmp_path, server)
    stage.environment = {}
    assert (await stage.prompt("go")).status == "completed"
