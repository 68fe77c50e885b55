"""`jido exec` and `jido lua`: a sandbox's bytes and codes as if they were our own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command_line import CommandLine, one_line

pytestmark = [pytest.mark.bubblewrap, pytest.mark.xdist_group("cli")]


def test_bytes_and_code_are_the_commands_own(jido: CommandLine, project: Path) -> None:
    script = r"printf 'a\000\377b'; printf 'e\200' >&2; exit 7"
    done = jido.run("exec", "--project", str(project), "--", "sh", "-c", script)
    assert (done.returncode, done.stdout, done.stderr) == (7, b"a\x00\xffb", b"e\x80")


def test_much_output_arrives_whole(jido: CommandLine, project: Path) -> None:
    script = "i=0; while [ $i -lt 40000 ]; do echo line $i; i=$((i+1)); done"
    done = jido.run("exec", "--project", str(project), "--", "sh", "-c", script)
    assert done.stdout.splitlines() == [b"line %d" % number for number in range(40000)]


def test_the_commands_directory_is_the_project(jido: CommandLine, project: Path) -> None:
    done = jido.run("exec", "--project", str(project), "--", "pwd")
    assert done.stdout.decode().strip() == str(project)


def test_a_signal_that_ends_the_command_shows_in_its_code(jido: CommandLine, project: Path) -> None:
    done = jido.run("exec", "--project", str(project), "--", "sh", "-c", "kill -9 $$")
    assert done.returncode == 137


def test_timeouts(jido: CommandLine, project: Path) -> None:
    slow = jido.run("exec", "--project", str(project), "--timeout", "0.5", "--", "sleep", "30")
    assert slow.returncode == 124
    assert "0.5 seconds" in one_line(slow.stderr)
    endless = jido.run(
        "lua", "--project", str(project), "--timeout", "1", "-", given=b"while true do end"
    )
    assert endless.returncode in {1, 124}, endless.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("exec",),
        ("exec", "--project", "/nowhere", "--", "true"),
        ("exec", "--session", "nobody", "--", "true"),
        ("exec", "--session", "a", "--project", "b", "--", "true"),
        ("exec", "--timeout", "0", "--", "true"),
        ("lua", "/nowhere.lua"),
    ],
)
def test_our_own_failures_are_125(jido: CommandLine, arguments: tuple[str, ...]) -> None:
    done = jido.run(*arguments)
    assert (done.returncode, done.stdout) == (125, b"")
    assert one_line(done.stderr).startswith("jido: ")


def test_a_script_prints_and_returns(jido: CommandLine, project: Path) -> None:
    script = b'print(jido.read_file("README.md")); return {size = 3}'
    done = jido.run("lua", "--project", str(project), "--reset", "-", given=script)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().splitlines()[0] == f"# {project.name}"
    assert json.loads(done.stdout.decode().splitlines()[-1]) == {"size": 3}


def test_a_failing_script_is_one(jido: CommandLine, project: Path) -> None:
    done = jido.run("lua", "--project", str(project), "-", given=b'error("no")')
    assert done.returncode == 1
    assert "no" in one_line(done.stderr)
    outcome = jido.run("lua", "--project", str(project), "-", "--json", given=b'error("no")')
    assert json.loads(outcome.stdout)["ok"] is False


def test_an_open_session_is_used_and_stays(jido: CommandLine, project: Path) -> None:
    session = jido.json("session", "new", str(project))
    for target in (("--session", session["id"]), ("--project", str(project))):
        done = jido.run("exec", *target, "--", "echo", "here")
        assert done.stdout == b"here\n"
    assert [item["id"] for item in jido.json("session", "list")["items"]] == [session["id"]]
    jido.json("session", "close", session["id"])
