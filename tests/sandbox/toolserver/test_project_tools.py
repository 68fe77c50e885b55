"""A project's own tools in the tool server: files, declarations, calls, what cannot be read."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.domain.errors import InvalidArgument
from orchestrator.domain.project_tools import check_arguments, parse_declaration
from orchestrator.sandboxes.project_tools import ToolSources
from orchestrator.sandboxes.tools import LuaResult, SandboxTools
from tests.support.toolserver import RawClient, ToolServer

COUNT = b"""
local calls = 0
return {
  name = "count_lines",
  description = "Counts lines.",
  parameters = {
    type = "object",
    properties = { pattern = { type = "string" } },
    required = { "pattern" },
  },
  run = function(arguments)
    calls = calls + 1
    local total = 0
    for _, file in ipairs(jido.glob(arguments.pattern)) do
      local text = jido.read_file(file.path)
      total = total + select(2, text:gsub("\\n", ""))
    end
    print("counted", arguments.pattern)
    return { lines = total, calls = calls }
  end,
}
"""


def tool(name: str, body: str, more: str = "") -> bytes:
    return (
        f'return {{ name = "{name}", description = "d", {more}'
        f"run = function(arguments) {body} end }}"
    ).encode()


@pytest.fixture
def place(server: ToolServer) -> Iterator[Path]:
    directory = server.root / ".jido_code/tools"
    directory.mkdir(parents=True, exist_ok=True)
    yield directory
    for entry in directory.iterdir():
        entry.unlink()
    directory.rmdir()


async def call(tools: SandboxTools, source: bytes, arguments: dict[str, Any]) -> LuaResult:
    return await tools.call_tool("x", arguments, ToolSources({"x": source}))


async def test_files_are_read_and_what_is_none_is_named(tools: SandboxTools, place: Path) -> None:
    (place / "b.lua").write_bytes(b"return 1")
    (place / "notes.txt").write_text("not a tool")
    (place / "link.lua").symlink_to("b.lua")
    os.mkfifo(place / "pipe.lua")
    (place / "huge.lua").write_bytes(b"-" * 65_537)
    (place / "edge.lua").write_bytes(b"-" * 65_536)
    (place / "out.lua").symlink_to("/etc/passwd")
    found = {file.name: file for file in await tools.tool_files()}
    assert found["b"].content == b"return 1"
    assert found["edge"].content == b"-" * 65_536
    faults = {name: file.fault for name, file in found.items() if file.content is None}
    assert faults == {
        "link": "it is a link or no regular file",
        "out": "it is a link or no regular file",
        "pipe": "it is a link or no regular file",
        "huge": "it exceeds 64 KiB",
    }


async def test_more_files_than_tools_are_told(tools: SandboxTools, place: Path) -> None:
    for number in range(34):
        (place / f"t{number:02}.lua").write_text("return {}")
    found = await tools.tool_files()
    assert [file.name for file in found] == [f"t{n:02}" for n in range(32)] + ["…"]


async def test_a_directory_that_is_a_link_is_refused(
    tools: SandboxTools, server: ToolServer
) -> None:
    assert await tools.tool_files() == []
    (server.root / "elsewhere").mkdir()
    (server.root / "elsewhere/a.lua").write_text("return {}")
    link = server.root / ".jido_code/tools"
    link.symlink_to(server.root / "elsewhere")
    try:
        with pytest.raises(Exception, match="a link"):
            await tools.tool_files()
    finally:
        link.unlink()


async def test_declarations_are_read_apart_and_may_do_nothing(
    tools: SandboxTools, server: ToolServer
) -> None:
    sources = {
        "count_lines": COUNT,
        "acts": b'jido.write_file("made", "x") return {name="acts", description='
        b'tostring(select(3, jido.write_file("made", "x"))), run = print}',
        "broken": b"return {",
        "nothing": b"return 7",
        "other": tool("another", ""),
        "idle": b'return { name = "idle", description = "d" }',
        "endless": b"while true do end",
        "large": b'return { name = "large", description = string.rep("x", 1 << 20), run = print }',
        "silent": b'return { name = "silent", description = print, run = print }',
        "last": tool("last", ""),
    }
    described = await tools.describe_tools(sources)
    assert described["count_lines"].declaration["parameters"]["required"] == ["pattern"]
    assert described["acts"].declaration["description"] == "permission_denied"
    assert not (server.root / "made").exists()
    faults = {name: row.fault or "" for name, row in described.items() if row.fault}
    assert set(faults) == set(sources) - {"count_lines", "acts", "last"}
    assert "must return a table" in faults["nothing"]
    assert "must declare the name `other`" in faults["other"]
    assert "`run`" in faults["idle"]
    assert "instructions" in faults["endless"]
    assert "more than it may" in faults["large"]


async def test_a_call_answers_a_value_and_keeps_its_own_state(
    tools: SandboxTools, server: ToolServer
) -> None:
    (server.root / "a.py").write_text("1\n2\n")
    sources = ToolSources({"count_lines": COUNT})
    await tools.run_lua("string.gsub = nil; jido.glob = nil; _G.ipairs = nil")
    for number in (1, 2):
        result = await tools.call_tool("count_lines", {"pattern": "*.py"}, sources)
        assert (result.ok, result.value) == (True, {"lines": 2, "calls": number})
        assert result.output == "counted\t*.py\n"
    await tools.reset_lua()
    result = await tools.call_tool("count_lines", {"pattern": "*.py"}, sources)
    assert result.value == {"lines": 2, "calls": 1}


async def test_what_runs_is_the_text_that_was_sent(tools: SandboxTools, place: Path) -> None:
    trusted, planted = tool("x", "return 'trusted'"), tool("x", "return 'planted'")
    (place / "x.lua").write_bytes(planted)
    assert (await call(tools, trusted, {})).value == "trusted"
    (place / "x.lua").unlink()
    assert (await call(tools, trusted, {})).value == "trusted"
    assert (await call(tools, planted, {})).value == "planted"


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ("error('no luck')", "lua_error", "no luck"),
        ("return nil, 'not there', 'not_found'", "lua_error", "not there (not_found)"),
        ("return jido.read_file('missing')", "lua_error", "(not_found)"),
        ("while true do end", "lua_instructions", "instructions"),
        ("local t = {} while true do t[#t + 1] = string.rep('x', 1 << 20) end", "lua_memory", ""),
        ("while true do print(string.rep('x', 10000)) end", "lua_output", ""),
        ("return os.execute", "lua_error", "'os'"),
    ],
)
async def test_failures_have_their_codes_and_the_next_call_works(
    tools: SandboxTools, body: str, code: str, message: str
) -> None:
    result = await call(tools, tool("x", body), {})
    assert (result.ok, result.error_code) == (False, code)
    assert message in (result.error_message or "")
    assert (await call(tools, tool("x", "return arguments.n"), {"n": 7})).value == 7


SHOWN = """
local function shown(...)
  local words = table.pack(...)
  for i = 1, words.n do words[i] = tostring(words[i]) end
  return table.concat(words, " | ")
end
return """


async def shown(tools: SandboxTools, call: str, sources: ToolSources) -> Any:
    result = await tools.run_lua(f"{SHOWN} shown({call})", tools=sources)
    assert result.ok, result
    return result.value


async def test_scripts_see_trusted_tools_only(tools: SandboxTools) -> None:
    refused = ToolSources({}, {"y": "y is not trusted"})
    assert (
        await shown(tools, "jido.tools.y{}", refused)
        == "nil | y is not trusted | permission_denied"
    )
    assert await shown(tools, "jido.tools.y", ToolSources()) == "nil"
    declared = ToolSources({"x": tool("x", "return arguments.a, 'second'", PARAMETERS)})
    assert await shown(tools, "jido.tools.x{a = 1}", declared) == "1 | second"
    assert await shown(tools, "jido.tools.x()", declared) == "nil | second"
    assert await shown(tools, "next(jido.tools)", ToolSources()) == "nil"


PARAMETERS = """parameters = { properties = {
  a = { type = "integer" }, b = { type = "array", items = { type = "string" } },
  c = { type = "string", enum = { "red", "blue" } },
  d = { type = "object", properties = { e = { type = "boolean" } }, required = { "e" } },
} }, """


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ("5", "x: the arguments must be a table"),
        ("{a = '1'}", "x: arguments.a must be of type integer"),
        ("{a = 1.5}", "x: arguments.a must be of type integer"),
        ("{z = 1}", "x: arguments has no `z`"),
        ("{b = {1}}", "x: arguments.b[1] must be of type string"),
        ("{b = {n = 1}}", "x: arguments.b must be of type array"),
        ("{c = 'green'}", "x: arguments.c is none of the values it may have"),
        ("{d = {}}", "x: arguments.d lacks `e`"),
        ("{d = {1}}", "x: arguments.d must be of type object"),
    ],
)
async def test_arguments_of_scripts_are_checked(
    tools: SandboxTools, arguments: str, fault: str
) -> None:
    declared = ToolSources({"x": tool("x", "return 'called'", PARAMETERS)})
    fine = "jido.tools.x{a = 1.0, b = {'s'}, c = 'red', d = {e = true}}"
    assert await shown(tools, fine, declared) == "called"
    found = await shown(tools, f"jido.tools.x({arguments})", declared)
    assert found == f"nil | {fault} | invalid_argument"


async def test_the_example_is_a_tool(tools: SandboxTools, server: ToolServer) -> None:
    example = Path(__file__).parents[3] / "examples/greeter"
    source = (example / ".jido_code/tools/functions.lua").read_bytes()
    (server.root / "greeter.py").write_bytes((example / "greeter.py").read_bytes())
    described = await tools.describe_tools({"functions": source})
    tool = parse_declaration("functions", described["functions"].declaration)
    check_arguments(tool, {"glob": "*.py"})
    result = await tools.call_tool("functions", {}, ToolSources({"functions": source}))
    assert result.value == [
        {"name": "greet", "path": "greeter.py", "line": 6},
        {"name": "main", "path": "greeter.py", "line": 11},
    ]


async def test_a_failing_tool_is_an_answer_to_a_script(tools: SandboxTools) -> None:
    sources = ToolSources({"x": tool("x", "error('oh')"), "broken": b"return {"})
    assert (await shown(tools, "jido.tools.x{}", sources)).endswith("oh | lua_error")
    assert (await shown(tools, "jido.tools.broken{}", sources)).endswith(" | lua_error")


_SCALAR = st.sampled_from(["string", "integer", "number", "boolean"]).map(lambda t: {"type": t})
_SCHEMA = st.recursive(
    _SCALAR | st.just({"type": "string", "enum": ["red", "blue"]}),
    lambda inner: (
        inner.map(lambda items: {"type": "array", "items": items})
        | st.dictionaries(st.sampled_from("abc"), inner, min_size=1).map(
            lambda members: {"type": "object", "properties": members, "required": [min(members)]}
        )
    ),
    max_leaves=6,
)
# An empty table of Lua is a list and an object at once, so empty ones are left out.
_VALUE = st.recursive(
    st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.sampled_from([0.5, 2.0, -1e300, "red", "text"]),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3)
        | st.dictionaries(st.sampled_from("abcd"), inner, min_size=1, max_size=3)
    ),
    max_leaves=6,
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(_SCHEMA, _VALUE)
def test_a_script_is_checked_as_any_other_caller(
    client: RawClient, schema: dict[str, Any], value: Any
) -> None:
    parameters = {"properties": {"v": schema}}
    declared = json.dumps(json.dumps(parameters))
    text = f"return {{ name='x', parameters = json.decode({declared}), run = type }}".encode()
    encoded = json.dumps(json.dumps({"v": value}))
    script = f"return select(3, jido.tools.x(json.decode({encoded})))".encode()
    reply = client.call("lua", script + text, tools=[["x", len(text)]])
    assert reply.result["error"] is None, reply.result
    refused = reply.payload == b'"invalid_argument"'
    tool = parse_declaration(
        "x", {"name": "x", "description": "d", "parameters": copy.deepcopy(parameters)}
    )
    if refused:
        with pytest.raises(InvalidArgument):
            check_arguments(tool, {"v": value})
    else:
        check_arguments(tool, {"v": value})
