"""`jido-tui`: a tour without a terminal, the client on one."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command_line import CommandLine, command_line, one_line, wait_until
from tests.support.requirements import require, require_bubblewrap

_EXAMPLE = Path(__file__).parents[3] / "examples" / "greeter"


@pytest.fixture
def alone() -> Iterator[CommandLine]:
    """Return commands whose home holds nothing yet."""
    require_bubblewrap()
    with command_line() as commands:
        yield commands


def _client(commands: CommandLine, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "orchestrator.cli.tui"],
        env={**commands.environment, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=150,
        check=False,
    )


@pytest.mark.bubblewrap
@pytest.mark.xdist_group("tour")
def test_without_a_terminal_it_is_a_tour(alone: CommandLine) -> None:
    done = _client(alone)
    text = done.stdout.decode()
    assert done.returncode == 0, done.stderr.decode()
    for words in ("read_file greeter.py", "write_file tour.md", "unittest", "bubblewrap, ready"):
        assert words in text
    assert (_EXAMPLE / "tour.md").read_text().startswith("Written inside the sandbox")
    # The tour has a home of its own, so the user's stays as it was.
    assert not alone.home.exists()


def test_a_tour_without_a_runtime_fails_in_one_line(alone: CommandLine) -> None:
    done = _client(alone, JIDO_RUNTIME="docker", DOCKER_HOST="unix:///nowhere.sock")
    assert done.returncode == 6
    assert "engine" in one_line(done.stderr)


class _Terminal:
    """One tmux server with one window of 100 by 30."""

    def __init__(self, directory: Path) -> None:
        self._server = str(directory / "tmux")

    def run(self, *arguments: str) -> str:
        """Run a tmux command and return what it printed."""
        return subprocess.run(
            ["tmux", "-S", self._server, *arguments], capture_output=True, text=True, check=False
        ).stdout

    def shows(self, words: str) -> bool:
        """Say whether the screen shows `words`."""
        return words in self.run("capture-pane", "-p")


@pytest.fixture
def terminal(alone: CommandLine) -> Iterator[_Terminal]:
    """Return a terminal in which the client is opened on a project."""
    require(shutil.which("tmux") is not None, "tmux is missing.")
    window = _Terminal(alone.projects.parent)
    variables = [
        f"{k}={v}" for k, v in alone.environment.items() if k.startswith(("JIDO_", "HOME"))
    ]
    client = shlex.join([sys.executable, "-m", "orchestrator.cli.tui", str(alone.project("shown"))])
    # Standard error goes elsewhere, as in scripts that keep it; the screen is the terminal still.
    window.run(
        *("-f", "/dev/null", "new-session", "-d", "-x", "100", "-y", "30"),
        *("env", "LANG=C.UTF-8", *variables, "sh", "-c"),
        f"exec {client} 2>{shlex.quote(str(alone.projects.parent / 'errors'))}",
    )
    yield window
    window.run("kill-server")


@pytest.mark.terminal
@pytest.mark.bubblewrap
@pytest.mark.xdist_group("tour")
def test_the_client_brings_its_stack_and_takes_it_away(
    alone: CommandLine, terminal: _Terminal
) -> None:
    wait_until(lambda: terminal.shows("Ask for a change"), 60)
    wait_until(lambda: terminal.shows("bubblewrap"), 90)
    terminal.run("send-keys", "write seen.txt hello", "Enter")
    wait_until(lambda: (alone.projects / "shown" / "seen.txt").exists(), 60)
    wait_until(lambda: terminal.shows("done"), 60)
    terminal.run("send-keys", "C-q")
    wait_until(lambda: alone.state() is None, 60)
    saved = alone.home / "sessions"
    assert len(list(saved.glob("*.json"))) == 1
    assert (alone.projects.parent / "errors").read_bytes() == b""
