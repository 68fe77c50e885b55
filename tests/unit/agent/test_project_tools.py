"""A project's own tools through the real clients of providers: offered, called, corrected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.project_tools import parse_declaration
from orchestrator.wire.bodies import LuaError, LuaOutcome
from tests.support.model_server import Call, ModelServer, Reply, Script
from tests.unit.agent.stage import Play
from tests.unit.agent.test_providers import ALL, play

DECLARED = {
    "name": "count_lines",
    "description": "Counts lines of files that match a pattern.",
    "parameters": {
        "properties": {
            "pattern": {"type": "string", "description": "A glob."},
            "kinds": {"type": "array", "items": {"type": "string", "enum": ["code", "text"]}},
            "place": {"type": "object", "properties": {"line": {"type": "integer"}}},
        },
        "required": ["pattern"],
    },
}


async def answer(name: str, arguments: dict[str, Any]) -> LuaOutcome:
    """Stand for the sandbox: what runs there is not the agent's matter."""
    if arguments["pattern"] == "slow":
        error = LuaError(code="lua_timeout", message="too slow")
        return LuaOutcome(ok=False, error=error, elapsed_ms=1)
    return LuaOutcome(ok=True, value=[name, arguments], elapsed_ms=1)


def with_tool(stage: Play) -> Play:
    stage.project_tools = [parse_declaration("count_lines", DECLARED)]
    stage.call_tool = answer
    return stage


@pytest.mark.parametrize("model", ALL)
async def test_every_provider_is_offered_it_and_can_call_it(tmp_path: Path, model: str) -> None:
    calls = [
        {"pattern": "*.py", "kinds": ["code"], "place": {"line": 3}},
        {"pattern": 7},
        {"pattern": "slow"},
    ]
    replies = [Reply(calls=[Call(name="count_lines", arguments=c)]) for c in calls]
    script = Script(replies=[*replies, Reply(text="Done.")])
    async with ModelServer.running(script) as server:
        stage = with_tool(play(tmp_path, server, model))
        outcome = await stage.prompt("count")
        offered = str(server.requests[0].body["tools"])
    assert (outcome.status, outcome.error) == ("completed", None)
    assert "Counts lines of files that match a pattern." in offered
    assert "A glob." in offered
    first, second, third = stage.sink.of("tool.result")
    assert first["status"] == "ok"
    assert '["count_lines", {"pattern": "*.py"' in first["text"]
    assert second["status"] == "error"
    assert "“pattern” must be of type string" in second["text"]
    assert (third["status"], "lua_timeout" in third["text"]) == ("timeout", True)


async def test_without_tools_nothing_is_offered(tmp_path: Path) -> None:
    async with ModelServer.running() as server:
        stage = play(tmp_path, server)
        await stage.prompt("count")
        assert "count_lines" not in str(server.requests[0].body["tools"])
