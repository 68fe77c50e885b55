"""What a reader is shown of the agent library's messages."""

from __future__ import annotations

import pytest
from pydantic_ai.exceptions import (
    ModelConnectionError,
    ModelHTTPError,
    ModelQuotaExceededError,
    ModelRateLimitError,
    ModelServerError,
    UserError,
)
from pydantic_ai.messages import BinaryContent, ToolCallPart, ToolReturnPart
from structlog.testing import capture_logs

from orchestrator.agent.deltas import DeltaBuffer
from orchestrator.agent.live import LiveOutput, LiveWorkspace
from orchestrator.agent.model_errors import MAX_PAUSE_S, pause_before_retry, translate
from orchestrator.agent.models import Models
from orchestrator.agent.parts import MAX_SHOWN_CHARACTERS, arguments_of, bounded, result_text
from orchestrator.agent.plan import TodoPlanStore
from orchestrator.domain.errors import UnknownProvider
from orchestrator.domain.message import Todo
from orchestrator.domain.models import SessionConfig
from orchestrator.settings import load_settings
from orchestrator.worker.warm_up import EmptyWorkspace, warm_up
from tests.unit.agent.stage import KEYS, MemorySink


def test_long_text_keeps_head_and_tail_and_marks_the_cut() -> None:
    text = "a" * MAX_SHOWN_CHARACTERS + "b" * 10
    shown = bounded(text)
    assert shown.startswith("aaa")
    assert shown.endswith("b" * 10)
    assert "10 characters not shown" in shown
    assert bounded("short") == "short"


def test_arguments_of_calls() -> None:
    long = "x" * (MAX_SHOWN_CHARACTERS + 1)
    call = ToolCallPart(tool_name="t", args={"a": 1, "b": [long, {"c": long}]})
    arguments = arguments_of(call)
    assert arguments["a"] == 1
    assert "not shown" in arguments["b"][0]
    assert "not shown" in arguments["b"][1]["c"]
    broken = arguments_of(ToolCallPart(tool_name="t", args="{broken"))
    assert broken == {"INVALID_JSON": "{broken"}


def test_results_of_every_kind_have_words() -> None:
    picture = BinaryContent(data=b"1234", media_type="image/png")
    listed = ToolReturnPart(tool_name="t", content=["a picture", picture], tool_call_id="1")
    assert result_text(listed) == "a picture\n[image/png, 4 bytes]"
    structured = ToolReturnPart(tool_name="t", content={"a": 1}, tool_call_id="1")
    assert result_text(structured) == '{"a":1}'


def test_pauses_between_tries() -> None:
    limited = ModelRateLimitError("m", "slow down", retry_after=2)
    assert pause_before_retry(limited, 1) == 2
    assert pause_before_retry(limited, 6) is None
    assert pause_before_retry(ModelRateLimitError("m", "x", retry_after=MAX_PAUSE_S + 1), 1) is None
    first = pause_before_retry(ModelServerError("m", "broken"), 1)
    third = pause_before_retry(ModelConnectionError("m", "gone"), 3)
    assert first is not None
    assert third is not None
    assert 0.3 < first < third < 10
    assert pause_before_retry(ModelServerError("m", "broken"), 4) is None
    assert pause_before_retry(ModelHTTPError(400, "m"), 1) is None


def test_other_failures_have_a_code_too() -> None:
    quota = translate(ModelQuotaExceededError("m", "no money"), "openai", "m")
    assert (quota.code, "quota" in quota.detail) == ("model_rate_limited", True)
    other = translate(UserError("odd\nthing"), "openai", "m")
    assert other.code == "model_request_rejected"
    assert "\n" not in other.detail


async def test_every_provider_can_be_built_and_says_what_it_lacks() -> None:
    models = Models(load_settings(model="ollama:any"), KEYS)
    for provider in ("anthropic", "openai", "openai-responses", "google", "ollama", "offline"):
        async with models.open(SessionConfig(provider=provider, model="any")) as model:
            assert model.model_name
    await models.preload()
    with pytest.raises(UnknownProvider):
        async with models.open(SessionConfig(provider="nobody", model="any")):
            pass
    available = Models(load_settings(), {}).available()
    assert available["offline"] is None
    assert available["google"] == "set GEMINI_API_KEY"
    compatible = load_settings(openai_base_url="http://127.0.0.1:9/v1")
    assert Models(compatible, {}).available()["openai"] is None


async def test_a_plan_is_bounded_and_blocked_counts_as_pending() -> None:
    sink = MemorySink()
    plan = TodoPlanStore([Todo(id="1", content="one", status="in_progress")], sink)
    (item,) = await plan.get_items()
    assert item.status.value == "in_progress"
    await plan.set_items([item] * 300)
    assert len(sink.todo_lists[0]) == 200


async def test_the_live_workspace_passes_everything_on() -> None:
    sink = MemorySink()
    workspace = LiveWorkspace(EmptyWorkspace(), LiveOutput("turn", DeltaBuffer(sink.emit)))
    assert workspace.ref is None
    assert await workspace.working_dir() == "/nowhere"
    assert (await workspace.run(["true"])).exit_code == 0
    assert await workspace.exists("a") is False
    assert await workspace.realpath("/a") == "/a"
    assert await workspace.list_dir("/nowhere") == []
    assert (await workspace.stat("/nowhere")).is_dir
    await workspace.make_dir("/a")
    await workspace.remove("/a")
    await workspace.write_bytes("/a", b"")
    with pytest.raises(FileNotFoundError):
        await workspace.read_bytes("/a")


def test_warming_up_needs_no_network() -> None:
    with capture_logs() as said:
        warm_up(Models(load_settings(), {}))
    assert said == []
