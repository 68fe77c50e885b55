"""A project's own tools in turns: offered when trusted, told when not, run as they were hashed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio

from orchestrator.agent.models import Models
from orchestrator.cli.project_content import read_content
from orchestrator.cli.trusted import accept
from orchestrator.domain.project_tools import BUILT_IN_TOOLS
from orchestrator.domain.session import Session
from orchestrator.domain.turn import Turn, TurnLimits
from orchestrator.services.turn_execution import TurnExecution
from orchestrator.wiring import turn_execution
from tests.integration.worker.stage import Stage
from tests.support.model_server import Call, ModelServer, Reply, Script
from tests.support.model_server.server import Recorded
from tests.support.toolserver import ToolServer

TOOL = """
return {
  name = "greet",
  description = "Greets somebody.",
  parameters = { properties = { name = { type = "string" } }, required = { "name" } },
  run = function(arguments)
    if arguments.name == "nobody" then error("nobody is there") end
    if arguments.name == "slow" then jido.shell("sleep 60") end
    return { greeting = "Hello " .. arguments.name }
  end,
}
"""


class Scene:
    """A session with a model that calls what the test says."""

    def __init__(self, stage: Stage, tools: ToolServer, model: ModelServer) -> None:
        self.stage = stage
        self.root = tools.root
        self.model = model
        self.session: Session
        environment = {"OPENAI_API_KEY": "test"}
        settings = stage.settings.model_copy(update={"openai_base_url": model.base_url})
        self.execution: TurnExecution = turn_execution(
            settings, stage.store, Models(settings, environment)
        )

    def place(self, text: str, name: str = "greet") -> Path:
        """Write a tool's file, as the project or the sandbox may at any time."""
        file = self.root / f".jido_code/tools/{name}.lua"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def trust(self) -> None:
        """Accept the project's content as it is."""
        accept(self.stage.settings, str(self.root), read_content(str(self.root)))

    def calls(self, *calls: Call) -> None:
        """Let the model make these calls, one an answer, then end."""
        replies = [Reply(calls=[call]) for call in calls]
        self.model.script = Script(replies=[*replies, Reply(text="Done.")])

    async def turn(self, prompt: str = "go", approval: str = "all") -> Turn:
        """Run one turn to its end, or to its question."""
        limits = TurnLimits.model_validate({"approval": approval})
        turn = await self.stage.prompt(self.session, prompt, limits)
        assert await self.execution.execute(self.session.id, turn.id)
        return await self.stage.store.turns.get(self.session.id, turn.id)

    def offered(self) -> dict[str, Any]:
        """Return the tools of the newest request, by name."""
        listed = self.model.requests[-1].body["tools"]
        return {tool["function"]["name"]: tool["function"] for tool in listed}

    async def told(self, kind: str) -> list[dict[str, Any]]:
        """Return the data of all events of a kind."""
        return [e.data for e in await self.stage.events(self.session) if e.type == kind]


@pytest_asyncio.fixture
async def scene(stage: Stage, tools: ToolServer) -> AsyncIterator[Scene]:
    async with ModelServer.running() as model:
        made = Scene(stage, tools, model)
        made.session = await stage.session(tools, "openai:scripted")
        (stage.settings.home / "trusted.json").unlink(missing_ok=True)
        yield made


async def test_the_model_sees_a_tool_only_when_it_is_trusted(scene: Scene) -> None:
    await scene.turn()
    own = set(scene.offered())
    assert "lua" in own
    assert own <= BUILT_IN_TOOLS, "a name of the agent's is not reserved"
    assert await scene.told("notice") == []
    scene.place(TOOL)
    for _ in range(2):
        assert (await scene.turn()).status == "completed"
        assert set(scene.offered()) == own
    (notice,) = await scene.told("notice")
    assert (notice["level"], notice["code"]) == ("info", "project_tools_not_loaded")
    assert ".jido_code/tools/greet.lua (it is not trusted)" in notice["text"]
    assert f"jido trust {scene.root}" in notice["text"]
    scene.trust()
    await scene.turn()
    assert set(scene.offered()) == {*own, "greet"}
    tool = scene.offered()["greet"]
    assert tool["description"] == "Greets somebody."
    assert tool["parameters"]["properties"]["name"]["type"] == "string"
    assert len(await scene.told("notice")) == 1
    scene.place(TOOL + "-- changed")
    await scene.turn()
    assert set(scene.offered()) == own
    changed = (await scene.told("notice"))[-1]
    assert changed["level"] == "warning"
    assert "it changed since it was trusted" in changed["text"]


async def test_a_call_its_failures_and_wrong_arguments(scene: Scene) -> None:
    scene.place(TOOL)
    scene.trust()
    scene.calls(
        Call(name="greet", arguments={"name": "Ada"}),
        Call(name="greet", arguments={"name": 7}),
        Call(name="greet", arguments={"name": "nobody"}),
        Call(name="lua", arguments={"script": "return jido.tools.greet{name = 'Lua'}"}),
    )
    assert (await scene.turn()).status == "completed"
    results = [(r["status"], r["text"]) for r in await scene.told("tool.result")]
    assert [status for status, _ in results] == ["ok", "error", "error", "ok"]
    assert '{"greeting": "Hello Ada"}' in results[0][1]
    assert "“name” must be of type string" in results[1][1]
    assert "[error: lua_error]" in results[2][1]
    assert "nobody is there" in results[2][1]
    assert "Hello Lua" in results[3][1]


async def test_a_file_swapped_after_the_check_cannot_run(scene: Scene) -> None:
    file = scene.place(TOOL)
    scene.trust()
    planted = TOOL.replace("Hello ", "Planted ")

    def swap(request: Recorded) -> None:
        file.write_text(planted)

    # The request arrives when the turn has checked its tools and none was called yet.
    scene.model.on_request = swap
    scene.calls(
        Call(name="greet", arguments={"name": "Ada"}),
        Call(name="lua", arguments={"script": "return jido.tools.greet{name = 'Lua'}"}),
    )
    await scene.turn()
    first, second = await scene.told("tool.result")
    assert "Hello Ada" in first["text"]
    assert "Hello Lua" in second["text"]
    assert file.read_text() == planted
    await scene.turn()
    assert "greet" not in scene.offered()


async def test_it_asks_where_lua_asks_and_is_gone_when_it_changed_meanwhile(scene: Scene) -> None:
    scene.place(TOOL)
    scene.trust()
    store = scene.stage.store
    for approval, changed, status in (
        ("ask", False, "ok"),
        ("edits", False, "ok"),
        ("edits", True, "error"),
    ):
        scene.calls(Call(name="greet", arguments={"name": "Ada"}))
        turn = await scene.turn(approval=approval)
        assert turn.status == "awaiting_approval"
        asked = (await scene.told("approval.requested"))[-1]
        assert (asked["tool"], asked["arguments"]) == ("greet", {"name": "Ada"})
        assert "tool of the project" in asked["reason"]
        if changed:
            scene.place(TOOL.replace("Hello", "Planted"))
        await store.turns.answer(scene.session.id, turn.id, asked["call_id"], "once", None)
        assert await scene.execution.execute(scene.session.id, turn.id)
        turn = await store.turns.get(scene.session.id, turn.id)
        assert turn.status == "completed", turn.error
        result = (await scene.told("tool.result"))[-1]
        assert result["status"] == status
        assert "Planted" not in result["text"]


async def test_allowed_for_the_session_is_this_content_and_no_other(scene: Scene) -> None:
    scene.place(TOOL)
    scene.trust()
    store = scene.stage.store
    scene.calls(Call(name="greet", arguments={"name": "Ada"}))
    turn = await scene.turn(approval="edits")
    asked = (await scene.told("approval.requested"))[-1]
    assert "grant" not in asked
    await store.turns.answer(scene.session.id, turn.id, asked["call_id"], "session", None)
    assert await scene.execution.execute(scene.session.id, turn.id)
    assert (await scene.turn(approval="edits")).status == "completed"
    scene.place(TOOL.replace("Hello", "Good day"))
    scene.trust()
    scene.calls(Call(name="greet", arguments={"name": "Ada"}))
    assert (await scene.turn(approval="edits")).status == "awaiting_approval"


async def test_a_broken_tool_does_not_fail_the_turn_and_is_named(scene: Scene) -> None:
    scene.place(TOOL)
    scene.place("while true do end", "endless")
    scene.place('return { name = "red", description = "\\27[31m", run = print }', "red")
    scene.trust()
    scene.place(TOOL, "lua")
    assert (await scene.turn()).status == "completed"
    assert "greet" in scene.offered()
    (notice,) = await scene.told("notice")
    assert "endless.lua (the script ran more instructions than it may)" in notice["text"]
    assert "red.lua (its description holds characters that cannot be printed)" in notice["text"]
    assert "lua.lua (a tool of the agent has this name already)" in notice["text"]
    assert notice["text"].isprintable()


async def test_a_broken_list_of_trust_is_told_and_no_tool_is_offered(scene: Scene) -> None:
    scene.place(TOOL)
    (scene.stage.settings.home / "trusted.json").write_text("{")
    assert (await scene.turn()).status == "completed"
    assert "greet" not in scene.offered()
    (notice,) = await scene.told("notice")
    assert notice["code"] == "invalid_settings"
    (scene.stage.settings.home / "trusted.json").unlink()


async def test_the_offline_model_calls_a_tool_by_its_name(
    stage: Stage, tools: ToolServer, scene: Scene
) -> None:
    scene.place(TOOL)
    scene.session = await _offline(scene)
    await scene.turn('tool greet {"name": "Ada"}')
    assert "There is no tool `greet` in this turn" in await _text(scene)
    scene.trust()
    await scene.turn('tool greet {"name": "Ada"}')
    (result,) = await scene.told("tool.result")
    assert "Hello Ada" in result["text"]


async def _offline(scene: Scene) -> Session:
    def changed(session: Session) -> Session:
        config = session.config.model_copy(update={"provider": "offline", "model": "demo"})
        return session.model_copy(update={"config": config})

    return await scene.stage.store.sessions.update(scene.session.id, changed, lambda _a, _b: [])


async def _text(scene: Scene) -> str:
    return "".join(data["text"] for data in await scene.told("text.delta"))
