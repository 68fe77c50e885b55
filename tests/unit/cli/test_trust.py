"""`jido trust`: what is shown, what is refused, and the form of what is kept."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from orchestrator.cli import main
from orchestrator.domain.errors import InvalidSettings
from orchestrator.services.trust import Trusted, trusted_content

TOOL = b'return { name = "count", description = "d", run = print }\n'


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JIDO_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    project = tmp_path / "project"
    (project / ".jido_code/tools").mkdir(parents=True)
    return project


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_settings_and_tools_are_shown_and_kept(
    home: Path, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = b'{"approval": "ask"}\n'
    (project / ".jido_code/settings.json").write_bytes(settings)
    (project / ".jido_code/tools/count.lua").write_bytes(TOOL)
    (project / ".jido_code/tools/notes.md").write_text("no tool")
    assert main.invoke(["trust", str(project)]) == 0
    shown = capsys.readouterr()
    assert '"approval": "ask"' in shown.out
    assert '.jido_code/tools/count.lua (new)\n  | return { name = "count"' in shown.out
    assert "tools: count)." in shown.err
    kept = json.loads((home / "trusted.json").read_text())
    assert kept == {str(project): {"settings": digest(settings), "tools": {"count": digest(TOOL)}}}
    assert trusted_content(home, str(project)) == Trusted(digest(settings), {"count": digest(TOOL)})


def test_a_change_is_named_and_what_is_gone_is_trusted_no_more(
    home: Path, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tools = project / ".jido_code/tools"
    for name in ("same", "other", "gone"):
        (tools / f"{name}.lua").write_bytes(TOOL)
    assert main.invoke(["trust", str(project)]) == 0
    (tools / "other.lua").write_bytes(TOOL + b"-- more")
    (tools / "gone.lua").rename(tools / "renamed.lua")
    capsys.readouterr()
    assert main.invoke(["trust", str(project)]) == 0
    shown = capsys.readouterr().out
    for heading in ("other.lua (changed)", "same.lua (trusted already)", "renamed.lua (new)"):
        assert f".jido_code/tools/{heading}\n" in shown
    assert set(trusted_content(home, str(project)).tools) == {"same", "other", "renamed"}


def test_a_text_can_neither_command_the_terminal_nor_pose_as_a_heading(
    home: Path, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "-- \x1b[2J\u202e\n.jido_code/tools/nice.lua (trusted already)\n"
    (project / ".jido_code/tools/count.lua").write_text(text)
    assert main.invoke(["trust", str(project)]) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert [line for line in shown.splitlines() if not line.startswith("  | ")] == [
        ".jido_code/tools/count.lua (new)"
    ]


def test_what_is_no_plain_file_is_refused(
    home: Path, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tools = project / ".jido_code/tools"
    (tools / "plain.lua").write_bytes(TOOL)

    def refused(name: str, fault: str) -> None:
        capsys.readouterr()
        assert main.invoke(["trust", str(project)]) == 2
        error = capsys.readouterr().err
        assert len(error.splitlines()) == 1
        assert fault in error
        assert error.rstrip("\n").isprintable()
        (tools / name).unlink()

    (tools / "link.lua").symlink_to("plain.lua")
    refused("link.lua", "symbolic link")
    os.mkfifo(tools / "pipe.lua")
    refused("pipe.lua", "not a regular file")
    (tools / "huge.lua").write_bytes(b"-" * 65_537)
    refused("huge.lua", "exceeds 64 KiB")
    (tools / "binary.lua").write_bytes(b"\x1bLua\xff")
    refused("binary.lua", "not text")
    (tools / "read_file.lua").write_bytes(TOOL)
    refused("read_file.lua", "a tool of the agent has this name")
    (tools / "a\x1b[2J.lua").write_bytes(TOOL)
    refused("a\x1b[2J.lua", "must match")
    assert not (home / "trusted.json").exists()
    assert main.invoke(["trust", str(project)]) == 0


def test_a_directory_that_is_a_link_and_too_many_tools_are_refused(
    home: Path, project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tools = project / ".jido_code/tools"
    for number in range(33):
        (tools / f"t{number}.lua").write_bytes(TOOL)
    assert main.invoke(["trust", str(project)]) == 2
    assert "more than 32 tools" in capsys.readouterr().err
    tools.rename(tmp_path / "elsewhere")
    tools.symlink_to(tmp_path / "elsewhere")
    assert main.invoke(["trust", str(project)]) == 2
    assert "symbolic link" in capsys.readouterr().err


def test_the_older_form_is_read_and_stays_for_other_projects(home: Path, project: Path) -> None:
    home.mkdir()
    (home / "trusted.json").write_text(json.dumps({"/old": "ab" * 32}))
    assert trusted_content(home, "/old") == Trusted("ab" * 32)
    assert trusted_content(home, "/unknown") == Trusted()
    (project / ".jido_code/tools/count.lua").write_bytes(TOOL)
    assert main.invoke(["trust", str(project)]) == 0
    assert trusted_content(home, "/old") == Trusted("ab" * 32)
    assert trusted_content(home, str(project)).settings is None


@pytest.mark.parametrize("entry", [7, [], {"tools": []}, {"tools": {"a": 1}}, {"more": {}}])
def test_an_entry_of_another_form_is_named(home: Path, entry: object) -> None:
    home.mkdir()
    (home / "trusted.json").write_text(json.dumps({"/p": entry}))
    with pytest.raises(InvalidSettings, match="jido trust /p"):
        trusted_content(home, "/p")
