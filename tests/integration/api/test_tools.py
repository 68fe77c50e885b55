"""A project's own tools over HTTP: the list, the call, and the codes of what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from orchestrator.cli.project_content import read_content
from orchestrator.cli.trusted import accept
from orchestrator.settings import Settings
from tests.integration.api.answers import assert_refused
from tests.integration.api.conftest import Opened

TOOL = """
local calls = 0
return { name = "double", description = "Doubles.",
  parameters = { properties = { n = { type = "number" } }, required = { "n" } },
  run = function(arguments)
    calls = calls + 1
    print("doubling")
    return { value = 2 * arguments.n, calls = calls }
  end }
"""


async def test_list_call_and_refusals(
    client: httpx.AsyncClient, opened: Opened, base: Path, settings: Settings
) -> None:
    session = await opened()
    path = f"/v1/sessions/{session['id']}"

    async def ask(**body: Any) -> httpx.Response:
        return await client.post(f"{path}/lua", json=body)

    assert (await client.get(f"{path}/tools")).json() == {"items": [], "next": None}
    assert_refused(await ask(tool="double"), 404, "project_tool_not_found")
    project = base / "projects/alpha"
    file = project / ".jido_code/tools/double.lua"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(TOOL)
    untrusted = await ask(tool="double", arguments={"n": 1})
    problem = assert_refused(untrusted, 409, "project_tool_not_trusted")
    assert f"jido trust {project}" in problem["detail"]
    (row,) = (await client.get(f"{path}/tools")).json()["items"]
    assert (row["trusted"], row["description"], row["parameters"]) == (False, None, None)
    accept(settings, str(project), read_content(str(project)))
    for number in (1, 2):
        done = (await ask(tool="double", arguments={"n": 1.5})).json()
        assert (done["ok"], done["value"]) == (True, {"value": 3.0, "calls": number})
        assert done["output"] == "doubling\n"
    done = (await ask(tool="double", arguments={"n": 1}, reset=True)).json()
    assert done["value"] == {"value": 2, "calls": 1}
    assert_refused(await ask(tool="double", arguments={"n": "1"}), 422, "invalid_argument")
    (row,) = (await client.get(f"{path}/tools")).json()["items"]
    assert (row["name"], row["trusted"], row["reason"]) == ("double", True, None)
    script = "return jido.tools.double{n = 4}.value"
    assert (await ask(script=script)).json()["value"] == 8
    file.write_text("return 7")
    accept(settings, str(project), read_content(str(project)))
    assert_refused(await ask(tool="double"), 422, "invalid_project_tool")
    (row,) = (await client.get(f"{path}/tools")).json()["items"]
    assert (row["trusted"], row["description"]) == (True, None)
    assert "must return a table" in row["reason"]
    for body in ({}, {"script": "1", "tool": "x"}, {"script": "1", "arguments": {}}):
        assert_refused(await ask(**body), 422, "invalid_request")
