"""A project's own tools from the command line: trusted, listed, called, in a real sandbox."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command_line import CommandLine, one_line

pytestmark = [pytest.mark.bubblewrap, pytest.mark.xdist_group("cli")]

COUNT = """
return {
  name = "count_lines",
  description = "Counts lines of files that match a pattern.",
  parameters = {
    type = "object",
    properties = {
      pattern = { type = "string", description = "A glob." },
      skip = { type = "integer" },
    },
    required = { "pattern" },
  },
  run = function(arguments)
    local total = -(arguments.skip or 0)
    for _, file in ipairs(jido.glob(arguments.pattern)) do
      print("reading " .. file.path)
      local text = assert(jido.read_file(file.path))
      total = total + select(2, text:gsub("\\n", ""))
    end
    if total < 0 then return nil, "fewer lines than to skip" end
    return { lines = total }
  end,
}
"""


def place(project: Path, name: str, text: str) -> Path:
    directory = project / ".jido_code/tools"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"{name}.lua").write_text(text)
    return directory / f"{name}.lua"


def trust(jido: CommandLine, project: Path) -> None:
    done = jido.run("trust", str(project))
    assert done.returncode == 0, done.stderr


def test_a_tool_counts_only_with_trust_of_exactly_this_content(
    jido: CommandLine, project: Path
) -> None:
    file = place(project, "count_lines", COUNT)
    call = ("lua", "--project", str(project), "--tool", "count_lines", "pattern=*.md")
    listing = ("lua", "--project", str(project), "--tools")
    refused = jido.run(*call)
    assert (refused.returncode, refused.stdout) == (125, b"")
    assert "it is not trusted" in one_line(refused.stderr)
    assert f"jido trust {project}" in one_line(refused.stderr)
    assert jido.run(*listing).stdout.decode().startswith("count_lines\tnot trusted\t")
    trust(jido, project)
    done = jido.run(*call)
    assert (done.returncode, done.stdout) == (0, b'{"lines": 1}\n'), done.stderr
    assert b"reading README.md" in done.stderr
    shown = jido.run(*listing).stdout.decode()
    assert shown == "count_lines\ttrusted\tCounts lines of files that match a pattern.\n"
    (row,) = json.loads(jido.run(*listing, "--json").stdout)["items"]
    assert row["parameters"]["required"] == ["pattern"]
    file.write_text(COUNT + "-- changed\n")
    refused = jido.run(*call)
    assert refused.returncode == 125
    assert "it changed since it was trusted" in one_line(refused.stderr)
    file.write_text(COUNT)
    assert jido.run(*call).returncode == 0


def test_values_arguments_and_failures(jido: CommandLine, project: Path) -> None:
    place(project, "count_lines", COUNT)
    place(project, "endless", COUNT.replace("count_lines", "endless").replace(
        "local total", "jido.shell('sleep 60') local total"))  # fmt: skip
    trust(jido, project)
    base = ("lua", "--project", str(project), "--tool")
    given = jido.run(*base, "count_lines", "--arguments", "-", given=b'{"pattern": "*.md"}')
    assert (given.returncode, given.stdout) == (0, b'{"lines": 1}\n'), given.stderr
    typed = jido.run(*base, "count_lines", "pattern=*.md", "skip=1")
    assert typed.stdout == b'{"lines": 0}\n'
    failed = jido.run(*base, "count_lines", "pattern=*.md", "skip=5")
    assert (failed.returncode, failed.stdout) == (1, b"")
    assert "fewer lines than to skip (lua_error)" in one_line(failed.stderr)
    late = jido.run(*base, "endless", "pattern=*", "--timeout", "1")
    assert (late.returncode, late.stdout) == (124, b"")
    for words, fault in [
        (("count_lines", "pattern=x", "skip=one"), "must be of type integer"),
        (("count_lines", "--arguments", "{}"), "“pattern” is missing"),
        (("nothing",), "no tool “nothing”"),
    ]:
        refused = jido.run(*base, *words)
        assert (refused.returncode, refused.stdout) == (125, b""), words
        assert fault in one_line(refused.stderr)


def test_a_script_in_a_pipe_uses_a_trusted_tool(jido: CommandLine, project: Path) -> None:
    place(project, "count_lines", COUNT)
    script = "local found, message = jido.tools.count_lines{ pattern = '*.md' } "
    script += "print('asked') return found and found.lines or message"
    command = shlex.join([sys.executable, "-m", "orchestrator.cli.main", "lua", "-"])

    def piped() -> subprocess.CompletedProcess[str]:
        pipe = f"printf %s {shlex.quote(script)} | {command} | cat"
        environment = {**jido.environment, "PYTHONPATH": str(Path.cwd())}
        return subprocess.run(
            ["sh", "-c", pipe], cwd=project, env=environment,
            capture_output=True, text=True, check=True, timeout=120,
        )  # fmt: skip

    assert "count_lines.lua was not loaded: it is not trusted" in piped().stdout
    trust(jido, project)
    assert piped().stdout == "reading README.md\nasked\n1\n"


def test_hostile_files_are_named_in_one_line_each(jido: CommandLine, project: Path) -> None:
    good = place(project, "count_lines", COUNT)
    for name, description in [
        ("escapes", '"\\27[2J\\27]0;owned\\7"'),
        ("long", 'string.rep("x", 1 << 20)'),
        ("nested", '{{{"x"}}}'),
    ]:
        place(project, name, f'return {{name="{name}", description={description}, run=print}}')
    nested = "local t = {type='string'} for _ = 1, 60 do t = {type='array', items=t} end "
    declared = "{name='deep', description='d', parameters={properties={a=t}}, run=print}"
    place(project, "deep", f"{nested} return {declared}")
    trust(jido, project)
    good.with_name("a\x1b[2J.lua").write_text(COUNT)
    good.with_name("link.lua").symlink_to(good)
    done = jido.run("lua", "--project", str(project), "--tools")
    lines = done.stdout.decode().splitlines()
    states = {line.split("\t")[0]: line.split("\t")[1] for line in lines}
    assert states == {
        "count_lines": "trusted",
        "deep": "not usable",
        "escapes": "not usable",
        "long": "not usable",
        "nested": "not usable",
        "a?[2J": "not trusted",
        "link": "not trusted",
    }
    assert b"\x1b" not in done.stdout + done.stderr
    refused = jido.run("lua", "--project", str(project), "--tool", "escapes")
    assert (refused.returncode, refused.stdout) == (125, b"")
    assert "cannot be printed" in one_line(refused.stderr)
