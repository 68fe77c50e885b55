"""Lua: results, bindings, limits, and what a script cannot reach."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.toolserver import LUPA_COMMAND, RawClient, ToolServer, lua_command, running

LIMITS = {
    "lua_instructions": 20_000_000,
    "lua_memory_bytes": 128 * 1024 * 1024,
    "lua_output_bytes": 100_000,
    "lua_result_bytes": 100_000,
}
COMMANDS = {"system": lua_command(), "lupa": LUPA_COMMAND}


@pytest.fixture(scope="module", params=sorted(set(COMMANDS.values())))
def module_server(request: pytest.FixtureRequest) -> Iterator[ToolServer]:
    with running(limits=LIMITS, lua=request.param) as server:
        yield server


class Outcome:
    """One script's end."""

    def __init__(self, result: dict[str, Any], payload: bytes) -> None:
        split = result["value_bytes"]
        self.error = result["error"]
        self.value = json.loads(payload[:split]) if split else None
        self.output = payload[split:].decode()
        self.fresh = result["fresh"]


def lua(client: RawClient, script: str, **arguments: Any) -> Outcome:
    reply = client.call("lua", script.encode(), **arguments)
    return Outcome(reply.result, reply.payload)


def value(client: RawClient, script: str) -> Any:
    outcome = lua(client, script)
    assert outcome.error is None, outcome.error
    return outcome.value


def code(client: RawClient, script: str, **arguments: Any) -> str:
    outcome = lua(client, script, **arguments)
    assert outcome.error is not None, outcome.value
    found: str = outcome.error["code"]
    return found


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("1 + 1", 2),
        ("return 7 // 2, 'two', nil, true", [3, "two", None, True]),
        ("return {1, 2, {a = 'b'}}", [1, 2, {"a": "b"}]),
        ("return nil", None),
        ("return 0.5, 1/0, 1e300", [0.5, None, 1e300]),
        ("return 'é\\n\"\\\\\\1\\xff'", 'é\n"\\\x01\udcff'),
        ("return print", "<function>"),
        ("return {x = {}}", {"x": []}),
        ("return json.decode('[1, {\"a\": [true, false, null]}, \"\\\\u00e9\\\\ud83d\\\\ude00\"]')",
         [1, {"a": [True, False]}, "é😀"]),
        ("return json.encode({1, 'x'})", '[1,"x"]'),
    ],
)  # fmt: skip
def test_values(client: RawClient, script: str, expected: Any) -> None:
    assert value(client, script) == expected


def test_output_globals_and_reset(client: RawClient) -> None:
    assert lua(client, "counter = 41 print('set', counter)").output == "set\t41\n"
    assert value(client, "counter + 1") == 42
    assert lua(client, "return counter", reset=True).value is None
    assert client.call("lua_reset").result == {}
    assert lua(client, "return counter").fresh is True


def test_errors_keep_the_session(client: RawClient) -> None:
    lua(client, "kept = 'yes'")
    outcome = lua(client, "error('broken')", name="mine")
    assert outcome.error == {"code": "lua_error", "message": "mine:1: broken"}
    assert "near" in lua(client, "return return").error["message"]
    assert lua(client, "error({})").error["code"] == "lua_error"
    assert lua(client, "coroutine.yield(1)").error["code"] == "lua_error"
    assert lua(client, "local t = {} t.t = t return t").error["code"] == "lua_error"
    assert value(client, "kept") == "yes"


def test_files(client: RawClient, server: ToolServer) -> None:
    script = """
      assert(jido.write_file('d/a.txt', 'one\\ntwo\\n'))
      assert(jido.edit_file('d/a.txt', 'two', '2'))
      local text = jido.read_file('d/a.txt')
      local page = jido.read_file('d/a.txt', {offset = 2, limit = 1})
      local names = {}
      for _, entry in ipairs(jido.list_dir('d')) do names[#names + 1] = entry.name end
      assert(jido.mkdir('e/f'))
      assert(jido.rename('d/a.txt', 'e/b.txt'))
      return text, page, names, jido.exists('d/a.txt'), jido.is_file('e/b.txt'),
        jido.is_dir('e'), jido.stat('e/b.txt').size, jido.delete_file('d')
    """
    expected = ["one\n2\n", "2", ["a.txt"], False, True, True, 6, True]
    assert value(client, script) == expected
    assert (server.root / "e/b.txt").read_text() == "one\n2\n"


def test_search_and_commands(client: RawClient, server: ToolServer) -> None:
    (server.root / "a.py").write_text("needle = 1\n")
    assert value(client, "jido.glob('*.py')[1].path") == "a.py"
    assert value(client, "jido.grep('need.e')[1].line") == 1
    assert value(client, "jido.find('apy')") == [["a.py"], False]
    run = value(client, "jido.shell('cat; echo err >&2; exit 3', {stdin = 'in', cwd = '.'})")
    assert run == {"exit_code": 3, "stdout": "in", "stderr": "err\n", "cut_bytes": 0}
    assert value(client, "jido.shell({'printf', '%s', 'a b'}).stdout") == "a b"
    assert value(client, "jido.git('--version').stdout").startswith("git version")


def test_bytes_survive_the_way_through_a_script(client: RawClient, server: ToolServer) -> None:
    data = bytes(range(256))
    (server.root / "f").write_bytes(data)
    assert value(client, "jido.write_file('g', (jido.read_file('f')))")
    assert (server.root / "g").read_bytes() == data


def test_failures_come_as_nil_message_and_code(client: RawClient) -> None:
    for script, expected in {
        "jido.read_file('none')": "not_found",
        "jido.read_file('/etc/passwd')": "outside_project",
        "jido.write_file('../x', '')": "outside_project",
        "jido.edit_file('none', 'a', 'b')": "not_found",
        "jido.list_dir('none')": "not_found",
        "jido.shell('sleep 9', {timeout = 0.1})": "timeout",
        "jido.write_file('big', ('x'):rep(10485761))": "too_large",
        "jido.shell(('x'):rep(100000))": "too_large",
    }.items():
        found = value(client, f"local a, b, c = {script} return a == nil, type(b), c")
        assert found == [True, "string", expected]
    assert code(client, "jido.read_file({})") == "lua_error"


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("while true do end", "lua_instructions"),
        ("while true do pcall(function() while true do end end) end", "lua_instructions"),
        ("local function f() while true do end end xpcall(f, f)", "lua_instructions"),
        ("coroutine.wrap(function() while true do end end)()", "lua_instructions"),
        ("while true do coroutine.resume(coroutine.create(function() end)) end",
         "lua_instructions"),
        ("error(setmetatable({}, {__tostring = function() while true do end end}))",
         "lua_instructions"),
        ("local t <close> = setmetatable({}, {__close = function() while true do end end})",
         "lua_instructions"),
        ("local t = {} while true do t[#t + 1] = ('x'):rep(1000000) .. #t end", "lua_memory"),
        ("local s = 'x' while true do s = s .. s end", "lua_memory"),
        ("while true do print('endless output of a script') end", "lua_output"),
        ("return ('x'):rep(200000)", "lua_output"),
        ("jido.shell('sleep 100')", "lua_timeout"),
        ("return string.find(('a'):rep(30000), ('.-'):rep(30) .. 'b')", "lua_timeout"),
    ],
)  # fmt: skip
def test_limits_end_the_script_and_not_the_session(
    client: RawClient, script: str, expected: str
) -> None:
    timeout_s = 2.0 if expected == "lua_timeout" else 60.0
    found = code(client, script, timeout_s=timeout_s)
    # A command that outlives the script's time may be what is reported inside of it.
    assert found == expected
    assert value(client, "1 + 1") == 2


@pytest.mark.parametrize(
    ("attempt", "control"),
    [
        ("os", "string"),
        ("io", "table"),
        ("debug", "math"),
        ("package", "coroutine"),
        ("require", "select"),
        ("dofile", "load"),
        ("loadfile", "pcall"),
        ("python", "jido"),
        ("arg", "utf8"),
        ("string.dump", "string.len"),
        ("getmetatable('')", "getmetatable(setmetatable({}, {}))"),
        ("load(('\\27Lua'))", "load('return 1')"),
        ("load(function() return 'x = 1' end)", "load('x = 1')"),
        ("_G.os", "_G.string"),
        ("load('return os')()", "load('return string')()"),
        ("load('return _ENV.io', 'n', 't')()", "load('return _ENV.table', 'n', 't')()"),
        ("coroutine.wrap(function() return debug end)()",
         "coroutine.wrap(function() return math end)()"),
        ("collectgarbage('stop') ~= 0 or nil", "collectgarbage('count') > 0"),
        ("(pcall(setmetatable, {}, {__gc = print})) or nil", "(pcall(setmetatable, {}, {}))"),
        ("(pcall(setmetatable, 'x', {})) or nil", "(pcall(setmetatable, {}, {}))"),
        ("(pcall(string.rep, 'x', 1 << 40)) or nil", "(pcall(string.rep, 'x', 10))"),
        ("(pcall(string.rep, 'x', '99999999999')) or nil", "(pcall(string.rep, 'x', '10'))"),
        ("(pcall(('x').rep, 'x', 1 << 40)) or nil", "(pcall(('x').rep, 'x', 10))"),
    ],
)  # fmt: skip
def test_nothing_else_is_in_reach(client: RawClient, attempt: str, control: str) -> None:
    client.call("lua_reset")
    nothing = value(client, f"local found = {attempt} return found == nil or found == false")
    assert nothing is True
    assert value(client, f"local found = {control} return found ~= nil and found ~= false") is True


def test_a_script_cannot_bend_what_runs_around_it(client: RawClient) -> None:
    client.call("lua_reset")
    script = """
      string.sub = function() error('bent') end
      table.concat, table.pack, string.format = nil, nil, nil
      tostring, ipairs, pairs, type, error = nil, nil, nil, nil, nil
      json.encode, json.decode = nil, nil
      setmetatable(_G, {__index = function() return nil end})
      print('still')
      return jido.shell('echo out').stdout, jido.list_dir('.')
    """
    outcome = lua(client, script)
    assert outcome.error is None
    assert outcome.output == "still\n"
    assert outcome.value is not None
    assert outcome.value[0] == "out\n"
    client.call("lua_reset")


def test_frames_cannot_be_forged_by_output(client: RawClient) -> None:
    forged = '{"done":true,"ok":true}'
    assert lua(client, f"print('{forged}') return 'real'").value == "real"
    assert lua(client, f"print('{forged}')").output == forged + "\n"


def test_cancel_ends_a_script(client: RawClient, server: ToolServer) -> None:
    running_id = client.send("lua", b"jido.write_file('go', '') jido.shell('sleep 100')")
    while not (server.root / "go").exists():
        time.sleep(0.01)
    client.send_raw(b'{"cancel":%d}\n' % running_id)
    assert client.receive().code == "cancelled"
    assert value(client, "1 + 1") == 2


def test_scripts_take_turns(client: RawClient, server: ToolServer) -> None:
    first = client.send("lua", b"jido.write_file('go', '') jido.shell('sleep 0.5') return 1")
    while not (server.root / "go").exists():
        time.sleep(0.01)
    assert client.send("lua", b"return 2", timeout_s=0.1) > first
    assert client.receive().code == "busy"
    assert client.receive().header["id"] == first


def test_without_an_interpreter_it_says_so() -> None:
    with running(lua=("/no/such/lua",)) as server, server.connect() as client:
        assert client.call("lua", b"return 1").code == "lua_unavailable"
