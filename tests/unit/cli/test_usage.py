"""What a person can get wrong before anything starts: one line, the right code, no traces."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from orchestrator.cli import main, tui


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the commands a home, so that nothing of the machine's counts."""
    monkeypatch.setenv("JIDO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("JIDO_PROJECT_ROOTS", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def _refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = main.invoke(arguments)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("jido: ")
    return code, captured.err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nonsense"], 2, "No such command"),
        (["run"], 2, "exactly once"),
        (["run", "--prompt", "x", "--prompt-file", "y"], 2, "exactly once"),
        (["run", "please"], 2, "--prompt TEXT"),
        (["run", "--prompt", "  "], 2, "empty"),
        (["run", "--prompt", "x" * 100_001], 2, "100,000"),
        (["run", "--prompt-file", "/nowhere"], 2, "cannot be read"),
        (["run", "--prompt", "x", "--model", "nonsense"], 2, "provider:model"),
        (["run", "--prompt", "x", "--model", "nobody:x"], 2, "not known"),
        (["run", "--prompt", "x", "--project", "/nowhere"], 2, "does not exist"),
        (["run", "--prompt", "x", "--project", "/etc/passwd"], 2, "not a directory"),
        (["run", "--prompt", "x", "--timeout", "0"], 2, "--timeout"),
        (["run", "--prompt", "x", "--timeout", "nan"], 2, "--timeout"),
        (["run", "--prompt", "x", "--max-turns", "0"], 2, "--max-turns"),
        (["run", "--prompt", "x", "--max-cost", "-1"], 2, "--max-cost"),
        (["run", "--prompt", "x", "--approve", "maybe"], 2, "--approve"),
        (["run", "--prompt", "x", "--result", "/nowhere/x"], 2, "--result"),
        (["run", "--prompt", "x", "--result", "/"], 2, "directory"),
        (["up", "--port", "70000"], 2, "--port"),
        (["exec"], 125, "Missing"),
        (["exec", "--timeout", "0", "--", "true"], 125, "--timeout"),
        (["lua", "/nowhere"], 125, "cannot be read"),
        (["session", "import", "/nowhere"], 2, "cannot be read"),
        (["session", "new", "--model", "nonsense"], 2, "provider:model"),
        (["trust", "/nowhere"], 2, "does not exist"),
        (["trust"], 2, "nothing to trust"),
    ],
)
def test_refused_in_one_line(
    arguments: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    found, line = _refused(arguments, capsys)
    assert found == code
    assert words in line
    assert not (home / "data").exists()


def test_a_huge_prompt_file_is_read_only_to_its_limit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    huge = tmp_path / "huge"
    with huge.open("wb") as file:
        file.truncate(10**12)
    code, line = _refused(["run", "--prompt-file", str(huge)], capsys)
    assert code == 2
    assert "100,000" in line


def test_a_prompt_that_is_no_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff\xfe")))
    assert _refused(["run", "-"], capsys)[0] == 2


@pytest.mark.parametrize("content", ["{broken", "[]", '{"nonsense": 1}', '{"max_sessions": "x"}'])
@pytest.mark.parametrize(
    "arguments", [["up"], ["down"], ["run", "--prompt", "x"], ["session", "list"]]
)
def test_broken_settings(
    home: Path, content: str, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    home.mkdir()
    (home / "settings.json").write_text(content)
    assert _refused(arguments, capsys)[0] == 2
    assert [each.name for each in home.iterdir()] == ["settings.json"]


@pytest.mark.parametrize(
    ("url", "code"), [("http://127.0.0.1:1", 6), ("ftp://somewhere", 2), ("http://h:999999", 2)]
)
def test_a_named_server_that_is_not_there(
    url: str, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JIDO_URL", url)
    assert _refused(["session", "list"], capsys)[0] == code
    assert _refused(["exec", "--", "true"], capsys)[0] == 125


def test_a_home_of_somebody_elses(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("JIDO_HOME", str(tmp_path / "file"))
    assert _refused(["up", "--port", "0"], capsys)[0] == 2
    monkeypatch.setenv("JIDO_HOME", "/proc/nowhere")
    assert _refused(["up", "--port", "0"], capsys)[0] == 6


def test_down_without_a_stack_is_success(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.invoke(["down"]) == 0
    assert "No stack" in capsys.readouterr().err


def test_help_is_plain(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.invoke(["--help"]) == 0
    listing = capsys.readouterr().out
    for command in ("up", "down", "run", "exec", "lua", "session", "doctor", "trust", "serve"):
        assert f"  {command} " in listing
    assert main.invoke(["run", "--help"]) == 0


def test_the_doctor_names_variables_that_are_no_settings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # A runtime that is refused at once keeps this short.
    monkeypatch.setenv("JIDO_RUNTIME", "kubernetes")
    main.invoke(["doctor"])
    assert "no such setting" not in capsys.readouterr().out
    monkeypatch.setenv("JIDO_SANDBOX_NETWROK", "none")
    main.invoke(["doctor"])
    assert "JIDO_SANDBOX_NETWROK: no such setting" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["sandbox_memory", "sandbox_tmpfs", "sandbox_disk"])
def test_a_size_that_cannot_be_read_is_named_before_anything_starts(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    monkeypatch.setenv(f"JIDO_{name.upper()}", "lots")
    code, line = _refused(["run", "--prompt", "x"], capsys)
    assert code == 2
    assert name in line
    assert not home.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["/nowhere"], "does not exist"),
        (["/etc/passwd"], "not a directory"),
        (["."], "needs a terminal"),
        (["--server", "http://127.0.0.1:1"], "needs a terminal"),
    ],
)
def test_the_client_without_a_terminal_takes_no_project(
    arguments: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert tui.invoke(arguments) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert words in captured.err
    assert not home.exists()


def test_the_client_refuses_in_one_line_too(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        tui.invoke(["--nonsense"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
    home.mkdir()
    (home / "settings.json").write_text("{broken")
    assert tui.invoke([]) == 2
    assert capsys.readouterr().err.count("\n") == 1
