"""The commands as a person runs them: processes with a home and projects of their own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orchestrator.local.state import process_start
from tests.support.requirements import SANDBOX_IMAGE

_SCRUBBED = ("JIDO_", "ANTHROPIC_", "OPENAI_", "GEMINI_", "GOOGLE_", "OLLAMA_")


class CommandLine:
    """`jido` with a home of its own below `directory`."""

    def __init__(self, directory: Path) -> None:
        """Make the home and the place of projects; nothing is started."""
        self.home = directory / "home"
        self.projects = directory / "projects"
        self.projects.mkdir(parents=True, exist_ok=True)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(_SCRUBBED)}
        self.environment = {
            **kept,
            "HOME": str(directory),
            "JIDO_HOME": str(self.home),
            "JIDO_PROJECT_ROOTS": str(self.projects),
            "JIDO_RUNTIME": "bubblewrap",
            "JIDO_SANDBOX_IMAGE": SANDBOX_IMAGE,
            "JIDO_WORKERS": "2",
        }

    def project(self, name: str) -> Path:
        """Return a project with a file in it, made on first use."""
        path = self.projects / name
        path.mkdir(exist_ok=True)
        (path / "README.md").write_text(f"# {name}\n")
        return path

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start `jido` with `arguments`, all its streams as pipes."""
        return subprocess.Popen(
            [sys.executable, "-m", "orchestrator.cli.main", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**self.environment, **environment},
            start_new_session=True,
        )

    def run(
        self, *arguments: str, given: bytes = b"", **environment: str
    ) -> subprocess.CompletedProcess[bytes]:
        """Run `jido` to its end."""
        with self.start(*arguments, **environment) as process:
            try:
                output, errors = process.communicate(given, timeout=150)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        return subprocess.CompletedProcess(list(arguments), process.returncode, output, errors)

    def json(self, *arguments: str) -> Any:
        """Run `jido … --json` successfully and return what it printed."""
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(done.stdout)

    def state(self) -> dict[str, Any] | None:
        """Return the state of the running stack; None when none has written any."""
        try:
            state: dict[str, Any] = json.loads((self.home / "stack.json").read_text())
        except FileNotFoundError:
            return None
        return state

    def children(self) -> dict[str, int]:
        """Return the stack's children by what they run."""
        state = self.state()
        assert state is not None
        listing = subprocess.run(
            ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(state["pid"])],
            capture_output=True,
            text=True,
            check=False,
        ).stdout
        words = {
            "valkey": "valkey-server",
            "supervisor": " supervise",
            "worker": " work",
            "api": " serve",
        }
        return {
            name: int(line.split()[0])
            for line in listing.splitlines()
            for name, word in words.items()
            if word in line
        }


@contextmanager
def command_line() -> Iterator[CommandLine]:
    """Yield a command line in a new directory; its stack, if any, has ended afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="jido-cli-", dir="/tmp"))
    commands = CommandLine(directory)
    try:
        yield commands
    finally:
        commands.run("down")
        shutil.rmtree(directory, ignore_errors=True)


def wait_until(condition: Any, seconds: float = 30.0) -> None:
    """Wait for `condition` to hold; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.05)


def runs(pid: int) -> bool:
    """Say whether a process runs."""
    return process_start(pid) is not None


def one_line(errors: bytes) -> str:
    """Return the last line of standard error; no line may be part of a traceback."""
    text = errors.decode()
    assert "Traceback" not in text
    return text.strip().splitlines()[-1]
