"""The path a person takes, by key strokes, on the embedded stack and real sandboxes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.requirements import SANDBOX_IMAGE, require_bubblewrap
from tests.support.terminal import Terminal

pytestmark = [pytest.mark.terminal, pytest.mark.bubblewrap, pytest.mark.timeout(300)]

JIDO_TUI = [
    sys.executable,
    "-c",
    "import sys; from orchestrator.cli.tui import main; sys.exit(main())",
]
PASTE = "\x1b[200~{}\x1b[201~\r"


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    require_bubblewrap()
    shown = Terminal(110, 34)
    yield shown
    shown.stop()


@pytest.fixture
def projects(tmp_path: Path) -> tuple[Path, Path]:
    """Two projects with a file each."""
    for name in ("garden", "harbour"):
        directory = tmp_path / "work" / name
        directory.mkdir(parents=True)
        (directory / "mine.txt").write_text(f"the {name}\n")
    return tmp_path / "work/garden", tmp_path / "work/harbour"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A person's environment without a key, an engine or a running server."""
    return {
        "HOME": str(tmp_path),
        "JIDO_HOME": str(tmp_path / "jido"),
        "JIDO_SANDBOX_IMAGE": SANDBOX_IMAGE,
        "JIDO_RUNTIME": "bubblewrap",
        "JIDO_PROJECT_ROOTS": str(tmp_path / "work"),
        "JIDO_WORKERS": "3",
        **{name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")},
    }


def test_from_the_first_start_to_resume(
    terminal: Terminal, projects: tuple[Path, Path], environment: dict[str, str]
) -> None:
    garden, harbour = projects
    terminal.start([*JIDO_TUI, str(garden)], environment)
    terminal.sees("1:garden", "Sandbox ready (bubblewrap)", "offline model", seconds=90)

    terminal.send(PASTE.format("read mine.txt\nwrite notes.txt planted\nrun cat notes.txt; ls .."))
    terminal.sees("Done: 3 of 3 succeeded", "done · offline:demo")
    assert (garden / "notes.txt").read_text().strip() == "planted"
    assert (garden / "notes.txt").stat().st_uid == garden.stat().st_uid

    terminal.send(f"/session new {harbour}\r")
    terminal.sees("2:harbour", "Sandbox ready (bubblewrap)")
    terminal.send(PASTE.format("run cat mine.txt; cat ../garden/mine.txt"))
    terminal.sees("the harbour", "No such file or directory", "done · offline:demo")
    terminal.send("\x1b1")
    screen = terminal.sees("Done: 3 of 3 succeeded")
    assert "the harbour" not in screen

    terminal.send("/quit\r")
    terminal.sees("To come back:", "code 0")
    saved = list((Path(environment["JIDO_HOME"]) / "sessions").glob("*.json"))
    assert len(saved) == 2
    assert {path.stat().st_mode & 0o777 for path in saved} == {0o600}
    terminal.stop()

    terminal.start([*JIDO_TUI, str(garden)], environment)
    terminal.sees("1:garden", "Go on with", seconds=90)
    terminal.send("/resume\r")
    terminal.sees("harbour", "garden", "/resume n opens one")
    number = _number_of("harbour", terminal.screen())
    terminal.send(f"/resume {number}\r")
    terminal.sees("2:harbour", "the harbour", "No such file or directory")
    terminal.send("run echo still here\r")
    terminal.sees("still here", "Done: 1 of 1 succeeded")
    terminal.send("/quit\r")
    terminal.sees("code 0")


def _number_of(name: str, screen: str) -> str:
    rows = [line.split() for line in screen.splitlines() if name in line and "just now" in line]
    return next(word for word in rows[0] if word.isdecimal())


def test_a_terminal_of_twenty_columns_is_enough(
    projects: tuple[Path, Path], environment: dict[str, str]
) -> None:
    require_bubblewrap()
    narrow = Terminal(20, 12)
    try:
        narrow.start([*JIDO_TUI, str(projects[0])], environment)
        narrow.sees("1:garden", "Sandbox ready", seconds=90)
        narrow.send("say hello\r")
        narrow.sees("hello", "done")
        narrow.send("\x11")
        narrow.sees("code 0", seconds=60)
    finally:
        narrow.stop()
