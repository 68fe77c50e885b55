"""Hostile scripts: each ends by a limit of its own, and the next script runs."""

from __future__ import annotations

import pytest

from tests.sandbox.toolserver.test_lua import code, lua, module_server, value
from tests.support.toolserver import RawClient, ToolServer

__all__ = ["module_server"]

ENDLESS_TIMEOUT_S = 0.7
"""Seconds of a script that only the clock can end."""

TIMEOUTS = {
    "a pattern that backtracks": '("a"):rep(30):find(("a?"):rep(30) .. ("a"):rep(30))',
    "lazy repetitions": 'string.find(("a"):rep(30000), (".-"):rep(30) .. "b")',
    "moving a billion": "table.move({1, 2, 3}, 1, 1000000000, 2)",
    "sorting for ever": """
        local t = {} for i = 1, 300 do t[i] = i end
        while true do pcall(table.sort, t) end""",
    "calls for ever": "while true do jido.exists('x') end",
    "a command for ever": "jido.shell('sleep 100')",
    "memory refused and caught": """
        local s = 'x' while true do pcall(function() s = s .. s end) end""",
}
MEMORY = {
    "doubling": "local s = 'x' while true do s = s .. s end",
    "many strings": "local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(60000000) .. i end",
    "joining": """
        local t, s = {}, ('x'):rep(1000000) for i = 1, 1e6 do t[i] = s end
        return #table.concat(t)""",
    "a long separator": """
        local t = {} for i = 1, 1e5 do t[i] = '' end
        return #table.concat(t, ('x'):rep(1000000))""",
    "a huge replacement": "return #(('x'):rep(10000000):gsub('x', ('y'):rep(1000)))",
    "packing": "local t = {} while true do t[#t + 1] = string.pack('s8', ('x'):rep(30000000)) end",
    "a long type name": "print(setmetatable({}, {__name = ('x'):rep(60000000)}) )",
    "globals that grow": """
        setmetatable(_G, {__index = function(t, k) return t[k .. k] end}) return nope""",
    "reading into full memory": """
        jido.write_file('big', ('x'):rep(10000000))
        local kept = {}
        while true do kept[#kept + 1] = jido.read_file('big') end""",
}
INSTRUCTIONS = {
    "tail calls": "local function f() return f() end return f()",
    "coroutines in number": """
        local t = {}
        while true do t[#t + 1] = coroutine.create(function() end) coroutine.resume(t[#t]) end""",
    "wrapped coroutines": """
        while true do coroutine.wrap(function() coroutine.yield() end)() end""",
    "caught errors": "while true do pcall(error) end",
    "a handler of errors": "xpcall(error, function() while true do end end)",
    "a length": "return #setmetatable({}, {__len = function() while true do end end})",
    "a joining": "return setmetatable({}, {__concat = function() while true do end end}) .. 'x'",
    "a replacing function": "('x'):rep(1000000):gsub('x', function() while true do end end)",
    "collecting": "while true do collectgarbage() end",
}
OUTPUT = {
    "one long line": "print(('x'):rep(1000000))",
    "many arguments": "print(table.unpack({}, 1, 100000))",
    "a long result": "return ('x'):rep(200000)",
    "a result beyond a frame": "return ('x'):rep(20000000)",
}
ERRORS = {
    "string.rep": "return ('x'):rep(1 << 40)",
    "a wide format": "return string.format('%99999s', 'x')",
    "recursion": "local function f() return 1 + f() end return f()",
    "recursion in C": "local function f(s) return (s:gsub('.', f)) end return f('x')",
    "coroutines within coroutines": """
        local function f() coroutine.wrap(f)() end f()""",
    "endless lookups": """
        local t = setmetatable({}, {}) getmetatable(t).__index = function(t, k) return t[k + 1] end
        return t[1]""",
    "unpacking": "return table.unpack({}, 1, 1e8)",
    "an error while an error is told": """
        error(setmetatable({}, {__tostring = function() error('x') end}))""",
    "a result that holds itself": "local t = {} t.t = t return t",
    "a long message": "error(('x'):rep(20000000))",
    "a finaliser": "setmetatable({}, {__gc = function() while true do end end})",
}


def assert_ends(client: RawClient, script: str, expected: str, timeout_s: float = 60.0) -> None:
    assert code(client, script, timeout_s=timeout_s) == expected
    assert value(client, "1 + 1") == 2


@pytest.mark.parametrize("script", TIMEOUTS.values(), ids=TIMEOUTS)
def test_the_clock_ends_it(client: RawClient, script: str) -> None:
    assert_ends(client, script, "lua_timeout", ENDLESS_TIMEOUT_S)


@pytest.mark.parametrize("script", MEMORY.values(), ids=MEMORY)
def test_memory_ends_it(client: RawClient, script: str) -> None:
    assert_ends(client, script, "lua_memory")


@pytest.mark.parametrize("script", INSTRUCTIONS.values(), ids=INSTRUCTIONS)
def test_the_count_of_instructions_ends_it(client: RawClient, script: str) -> None:
    assert_ends(client, script, "lua_instructions")


@pytest.mark.parametrize("script", OUTPUT.values(), ids=OUTPUT)
def test_the_limit_of_output_ends_it(client: RawClient, script: str) -> None:
    assert_ends(client, script, "lua_output")


@pytest.mark.parametrize("script", ERRORS.values(), ids=ERRORS)
def test_it_fails_by_itself_and_keeps_what_was_set(client: RawClient, script: str) -> None:
    lua(client, "kept = 'yes'")
    outcome = lua(client, script, timeout_s=60.0)
    assert outcome.error is not None
    assert outcome.error["code"] == "lua_error"
    assert 0 < len(outcome.error["message"]) <= 8192
    assert value(client, "kept") == "yes"


def test_byte_code_is_not_loaded(client: RawClient) -> None:
    assert value(client, "(load('\\27Lua'))") is None
    assert value(client, "load('return 41 + 1')()") == 42
    # Whatever mode is asked for, only text is taken.
    assert value(client, "load('return 7', 'x', 'b')()") == 7


def test_value_and_output_come_together(client: RawClient) -> None:
    outcome = lua(client, "print('one', 2, nil) print({} ~= nil) return {x = 1}, 'two'")
    assert (outcome.output, outcome.value) == ("one\t2\tnil\ntrue\n", [{"x": 1}, "two"])
    failed = lua(client, "print('before') error('after')")
    assert failed.output == "before\n"
    assert failed.error is not None


def test_odd_data_does_not_confuse_what_is_said(client: RawClient, server: ToolServer) -> None:
    """Operations whose data is no text, or too much, are refused before anything is sent."""
    script = """
      local job = assert(jido.job_start({'cat'}))
      local _, _, first = jido.job_input(job, {})
      local _, _, second = jido.shell({'cat'}, {stdin = {}})
      local _, _, third = jido.shell({'cat'}, {stdin = ('x'):rep(20000000)})
      jido.job_kill(job)
      return first, second, third, jido.shell({'cat'}, {stdin = 'fine'}).stdout
    """
    expected = ["invalid_argument", "invalid_argument", "too_large", "fine"]
    assert value(client, script) == expected
