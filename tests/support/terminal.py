"""A real terminal: tmux with a server of its own, keys as bytes, the screen as text."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress

import pytest

from tests.support.requirements import require


class Terminal:
    """One program in tmux; the screen stays when the program ends."""

    def __init__(self, columns: int, rows: int) -> None:
        require(shutil.which("tmux") is not None, "tmux is missing.")
        self._socket = f"jido-test-{uuid.uuid4().hex[:8]}"
        self._size = ("-x", str(columns), "-y", str(rows))

    def start(self, program: Sequence[str], environment: Mapping[str, str]) -> None:
        """Run `program` with nothing in its environment but this and what a terminal has."""
        # A server of its own each time: one that is still ending would take the program with it.
        self._socket = f"jido-test-{uuid.uuid4().hex[:8]}"
        everything = {
            "LC_ALL": "C.UTF-8",
            "PATH": os.environ["PATH"],
            "TERM": "xterm-256color",
            **environment,
        }
        shell = ["sh", "-c", '"$@"; echo "code $?"; sleep 600', "sh", *program]
        begin = ["-f", "/dev/null", "-u", "new-session", "-d", *self._size, *shell]
        self._run(*begin, env=everything)

    def stop(self) -> None:
        """End the terminal and what runs in it."""
        with suppress(subprocess.CalledProcessError):
            self._run("kill-server")

    def send(self, text: str) -> None:
        """Send bytes exactly as a keyboard would."""
        self._run("send-keys", "-l", text)

    def screen(self, *, colours: bool = False) -> str:
        """Return what is on the screen, with its escape codes if asked."""
        return self._run("capture-pane", "-p", *(["-e"] if colours else []))

    def sees(self, *texts: str, seconds: float = 30.0) -> str:
        """Wait until all texts stand on the screen, and return it."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            screen = self.screen()
            if all(text in screen for text in texts):
                return screen
            time.sleep(0.05)
        pytest.fail(f"never shown: {texts}\n{self.screen()}")

    def _run(self, *arguments: str, env: Mapping[str, str] | None = None) -> str:
        command = ["tmux", "-L", self._socket, *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=env, check=True).stdout
