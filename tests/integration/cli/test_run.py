"""`jido run`: one session, one turn, one answer, and every way it can end."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import CommandLine, one_line, wait_until

pytestmark = [pytest.mark.bubblewrap, pytest.mark.xdist_group("cli")]


def _lines(output: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.decode().splitlines()]


def _no_session(jido: CommandLine) -> bool:
    return not jido.json("session", "list")["items"]


def test_json_lines_tell_the_whole_story(jido: CommandLine, project: Path) -> None:
    prompt = "read README.md\nwrite new.txt hello\nrun rm README.md"
    done = jido.run("run", "--project", str(project), "--prompt", prompt, "--json")
    *events, result = _lines(done.stdout)
    assert done.returncode == 0, done.stderr.decode()
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert events[0]["type"] == "session.created"
    assert events[-1]["type"] == "turn.completed"
    assert result["type"] == "result"
    assert (result["status"], result["exit_code"]) == ("done", 0)
    assert result["session_id"] == events[0]["session_id"]
    assert result["files_changed"] == ["README.md", "new.txt"]
    assert result["usage"]["cost_usd"] == 0.0
    assert result["text"]
    assert (project / "new.txt").read_text() == "hello\n"
    assert _no_session(jido)
    assert jido.json("session", "saved")["items"] == []


def test_standard_output_holds_the_answer_alone(
    jido: CommandLine, project: Path, tmp_path: Path
) -> None:
    result = tmp_path / "result.json"
    done = jido.run("run", "--project", str(project), "--result", str(result), "-", given=b"say Hi")
    assert done.returncode == 0, done.stderr.decode()
    written = json.loads(result.read_text())
    assert done.stdout.decode().strip() == written["text"]
    assert "Hi" in written["text"]
    assert b"sandbox ready" in done.stderr


def test_files_changed_follow_the_repository(jido: CommandLine, project: Path) -> None:
    (project / ".gitignore").write_text("ignored.txt\n")
    (project / "seen.txt").write_text("y")
    subprocess.run(["git", "init", "-q", str(project)], check=True)
    done = jido.run(
        *("run", "--project", str(project), "--json", "--prompt"),
        "run echo z > ignored.txt ; echo z > other.txt",
    )
    assert _lines(done.stdout)[-1]["files_changed"] == ["other.txt"]


def test_a_repository_made_during_the_turn_is_warned_of(jido: CommandLine, project: Path) -> None:
    subprocess.run(["git", "init", "-q", str(project)], check=True)
    prompt = "run git init -q planted ; git -C planted config core.fsmonitor ./run"
    done = jido.run("run", "--project", str(project), "--json", "--prompt", prompt)
    result = _lines(done.stdout)[-1]
    assert (done.returncode, result["status"]) == (0, "done")
    (warning,) = result["warnings"]
    assert "planted/.git was made" in warning
    assert "core.fsmonitor" in warning
    assert warning in done.stderr.decode()


@pytest.mark.parametrize(
    ("prompt", "options", "code", "status"),
    [
        ("fail", (), 1, "failed"),
        ("run ls", ("--approve", "ask"), 3, "needs_approval"),
        ("write a.txt x\nrun ls", ("--approve", "edits"), 3, "needs_approval"),
        ("write a.txt x", ("--approve", "edits"), 0, "done"),
        ("run ls", ("--max-turns", "1"), 4, "budget"),
        ("sleep 60", ("--timeout", "1.5"), 5, "timeout"),
    ],
)
def test_endings(
    jido: CommandLine, project: Path, prompt: str, options: tuple[str, ...], code: int, status: str
) -> None:
    done = jido.run("run", "--project", str(project), "--prompt", prompt, "--json", *options)
    result = _lines(done.stdout)[-1]
    assert (done.returncode, result["status"]) == (code, status), done.stderr.decode()
    assert result["exit_code"] == code
    if code:
        assert one_line(done.stderr).startswith("jido: ")
    assert _no_session(jido)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels_and_leaves_nothing(
    jido: CommandLine, project: Path, number: signal.Signals
) -> None:
    with jido.start("run", "--project", str(project), "--prompt", "sleep 60", "--json") as process:
        assert process.stdout is not None
        for line in process.stdout:
            if json.loads(line)["type"] == "turn.started":
                break
        process.send_signal(number)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors.decode()
    assert _lines(output)[-1]["status"] == "cancelled"
    assert _no_session(jido)


def test_a_kept_session_is_open_and_in_the_way(jido: CommandLine, project: Path) -> None:
    arguments = ("run", "--project", str(project), "--prompt", "say Hi")
    assert jido.run(*arguments, "--keep").returncode == 0
    session = jido.json("session", "list")["items"][0]
    refused = jido.run(*arguments)
    assert refused.returncode == 6
    assert f"jido session close {session['id'][:8]}" in one_line(refused.stderr)
    jido.json("session", "close", session["id"][:8], "--no-save")


def test_a_refused_project_leaves_no_session(jido: CommandLine) -> None:
    done = jido.run("run", "--project", "/usr/lib", "--prompt", "say Hi")
    assert done.returncode == 2
    assert "/usr/lib" in one_line(done.stderr)
    wait_until(lambda: _no_session(jido))
