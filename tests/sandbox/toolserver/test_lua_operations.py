"""`jido.*` reaches every operation: jobs, shells, several edits, real paths, failures."""

from __future__ import annotations

import re
import time
from pathlib import Path

from sandbox_image.toolserver.interpreter import NOT_FOR_SCRIPTS
from sandbox_image.toolserver.operations import OPERATIONS
from tests.sandbox.toolserver.test_lua import lua, value
from tests.support.toolserver import PACKAGE, RawClient, ToolServer


def test_scripts_have_every_operation() -> None:
    called = set(re.findall(r'call\("(\w+)"', (PACKAGE / "lua/tools.lua").read_text()))
    assert called == set(OPERATIONS) - NOT_FOR_SCRIPTS


def test_jobs(client: RawClient) -> None:
    script = """
      local job = assert(jido.job_start('read line; echo "got $line"; exit 5'))
      assert(jido.job_poll(job).running)
      assert(jido.job_input(job, 'hello\\n', {close = true}))
      local seen, cursor = '', 0
      repeat
        local state = assert(jido.job_poll(job, {cursor = cursor, wait = 5}))
        seen, cursor = seen .. state.output, state.cursor
      until not state.running
      seen = seen .. jido.job_poll(job, {cursor = cursor}).output
      local listed = jido.job_list()
      local code = jido.job_poll(job).exit_code
      assert(jido.job_forget(job))
      return seen, code, #listed, listed[1].job == job
    """
    assert value(client, script) == ["got hello\n", 5, 1, True]


def test_a_job_outlives_its_script(client: RawClient) -> None:
    value(client, "job = jido.job_start({'sleep', '100'}) return job")
    assert value(client, "jido.job_poll(job).running") is True
    assert value(client, "jido.job_kill(job).exit_code") == 137
    value(client, "jido.job_forget(job)")


def test_shells(client: RawClient, server: ToolServer) -> None:
    (server.root / "d").mkdir()
    script = """
      assert(jido.shell_run('cd d; x=1; f() { echo "f$x"; }'))
      local kept = assert(jido.shell_run('pwd; f; echo no >&2; false'))
      local other = assert(jido.shell_run('pwd', {name = 'other'}))
      local names = {}
      for _, row in ipairs(jido.shell_list()) do names[#names + 1] = row.name end
      assert(jido.shell_reset('other') and jido.shell_reset())
      return kept.stdout, kept.stderr, kept.exit_code, other.stdout, names
    """
    root = server.root
    expected = [f"{root}/d\nf1\n", "no\n", 1, f"{root}\n", ["main", "other"]]
    assert value(client, script) == expected


def test_several_edits_and_their_guard(client: RawClient, server: ToolServer) -> None:
    (server.root / "f").write_text("a b c\n")
    script = """
      local _, page = jido.read_file('f', {limit = 1})
      local count, result = jido.edit_file('f', {{old = 'a', new = '1'}, {old = 'b', new = '2'}},
        {expected_hash = page.hash})
      local none, _, code = jido.edit_file('f', '1', '3', {expected_hash = page.hash})
      return count, result.matches, none, code
    """
    assert value(client, script) == [2, ["exact", "exact"], None, "changed"]
    assert (server.root / "f").read_text() == "1 2 c\n"


def test_names(client: RawClient, server: ToolServer) -> None:
    (server.root / "f").write_text("long line\n")
    (server.root / "l").symlink_to("f")
    script = """
      return jido.real_path('l'), jido.stat('l').type, jido.stat('l', {follow = false}).type,
        (jido.read_file('f', {width = 4}))
    """
    expected = [f"{server.root}/f", "file", "link", "long… [5 more characters]"]
    assert value(client, script) == expected


def test_failures_have_their_codes(client: RawClient) -> None:
    for script, expected in {
        "jido.job_poll('job-999')": "not_found",
        "jido.job_kill('job-999')": "not_found",
        "jido.job_input('job-999', 'x')": "not_found",
        "jido.job_forget('job-999')": "not_found",
        "jido.job_start({'no-such-program'})": "not_found",
        "jido.shell_run('sleep 9', {timeout = 0.1})": "timeout",
        "jido.shell_run('true', {name = ''})": "invalid_argument",
        "jido.real_path('a\\0b')": "invalid_argument",
    }.items():
        found = value(client, f"local a, b, c = {script} return a == nil, type(b), c")
        assert found == [True, "string", expected], script


def test_no_operation_outlasts_the_script(client: RawClient, server: ToolServer) -> None:
    for script in (
        "jido.shell_run('echo $$ > pid; sleep 100')",
        "jido.job_poll(jido.job_start('echo $$ > pid; sleep 100'), {wait = 60})",
    ):
        Path(server.root / "pid").unlink(missing_ok=True)
        began = time.monotonic()
        outcome = lua(client, script, timeout_s=1.0)
        assert outcome.error is not None
        assert outcome.error["code"] == "lua_timeout"
        assert time.monotonic() - began < 30
    for row in client.call("job_list").json:
        client.call("job_kill", job=row["job"])
