"""The real program in a real terminal, by real bytes."""

from __future__ import annotations

import asyncio
import os
import pty
import shutil
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.requirements import require
from tests.support.scripted_api import TOKEN, ScriptedApi
from tests.tui.conftest import PROJECT

pytestmark = pytest.mark.terminal
ROOT = Path(__file__).parents[2]
PROGRAM = (
    "import sys; from tui.app import run; from tui.found import Found; "
    "sys.exit(run(lambda: Found(*sys.argv[1:3]), sys.argv[3]))"
)


class Terminal:
    """The client in tmux, on a server of its own."""

    def __init__(self, columns: int, rows: int) -> None:
        self._socket = f"jido-test-{uuid.uuid4().hex[:8]}"
        self._size = ("-x", str(columns), "-y", str(rows))

    def start(self, url: str) -> None:
        """Run the client; the screen stays when it ends."""
        environment = {
            "LC_ALL": "C.UTF-8",
            "PATH": os.environ["PATH"],
            "HOME": os.environ["HOME"],
            "PYTHONPATH": str(ROOT),
            "TERM": "xterm-256color",
        }
        program = [sys.executable, "-c", PROGRAM, url, TOKEN, PROJECT]
        shell = ["sh", "-c", '"$@"; echo "code $?"; sleep 600', "sh", *program]
        self._run(
            "-f", "/dev/null", "-u", "new-session", "-d", *self._size, *shell, env=environment
        )

    def stop(self) -> None:
        """End the terminal and what runs in it."""
        self._run("kill-server")

    def send(self, text: str) -> None:
        """Send bytes exactly as a keyboard would."""
        self._run("send-keys", "-l", text)

    def screen(self) -> str:
        """Return what is on the screen."""
        return self._run("capture-pane", "-p")

    async def sees(self, *texts: str, seconds: float = 20.0) -> None:
        """Wait until all texts stand on the screen."""
        for _ in range(int(seconds / 0.05)):
            screen = await asyncio.to_thread(self.screen)
            if all(text in screen for text in texts):
                return
            await asyncio.sleep(0.05)
        pytest.fail(f"never shown: {texts}\n{self.screen()}")

    def _run(self, *arguments: str, env: dict[str, str] | None = None) -> str:
        command = ["tmux", "-L", self._socket, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, env=env, check=True)
        return done.stdout


@pytest.fixture
async def terminal(api: ScriptedApi) -> AsyncIterator[Terminal]:
    require(shutil.which("tmux") is not None, "tmux is missing.")
    shown = Terminal(100, 30)
    shown.start(api.url)
    yield shown
    shown.stop()


async def test_the_whole_way_by_keys(api: ScriptedApi, terminal: Terminal) -> None:
    other = api.add_session("/work/other")
    await terminal.sees("2:parser", "Sandbox ready")
    terminal.send("grüße an 日本 🙂\r")
    await terminal.sees("▌ grüße an 日本 🙂", "You said: grüße an 日本 🙂")
    terminal.send("\x1b1")
    await terminal.sees("/work/other", "only this directory")
    assert api.hits("POST", "/turns")[0].body == {"prompt": "grüße an 日本 🙂"}
    terminal.send("\x1b[50;5u")
    await terminal.sees("You said")
    terminal.send("\x1b[104;;104u\x1b[105;;105u\x1b[13u")
    await terminal.sees("You said: hi")
    terminal.send("\x1b[200~pasted\nlines\x1b[201~")
    await terminal.sees("lines")
    terminal.send("\r")
    await terminal.sees("You said: pasted")
    assert api.hits("POST", "/turns")[-1].body == {"prompt": "pasted\nlines"}
    terminal.send("two words\x1b\x7f¡\r")
    await terminal.sees("You said: two ¡")
    assert len(api.sessions) == 2
    turn = api.begin_turn(other.id, "x")
    api.say(other.id, turn, "In the other tab.")
    await terminal.sees("1:other •")
    terminal.send("/session new '/work/a third'\r")
    await terminal.sees("3:a third", "Sandbox ready")
    terminal.send("/cost\rone\rtwo\r")
    await terminal.sees("You said: one", "You said: two")
    terminal.send("/quit\r")
    await terminal.sees("To come back:", "jido-tui /work/parser", "code 0")


async def test_what_is_typed_while_the_client_starts_is_in_the_prompt(terminal: Terminal) -> None:
    terminal.send("typed ahead")
    await terminal.sees("Sandbox ready", "▌ typed ahead")
    terminal.send(" and later\r")
    await terminal.sees("You said: typed ahead and later")


async def test_keys_of_one_burst_are_done_in_their_order(terminal: Terminal) -> None:
    await terminal.sees("Sandbox ready")
    terminal.send("wrong\x15abd\x7fc\x1b[Hx\x1b[Fd\r")
    await terminal.sees("You said: xabcd")


async def test_it_ends_with_a_terminal_that_vanishes_without_a_signal(api: ScriptedApi) -> None:
    ours, its = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color"}
    program = [sys.executable, "-c", PROGRAM, api.url, TOKEN, PROJECT]
    # In a session of its own, without this terminal as the controlling one: no signal comes.
    client = await asyncio.create_subprocess_exec(
        *program, env=environment, stdin=its, stdout=its, stderr=its, start_new_session=True
    )
    os.close(its)
    try:
        seen = b""
        while b"Sandbox ready" not in seen:
            seen += await asyncio.to_thread(os.read, ours, 65536)
    finally:
        os.close(ours)
    try:
        async with asyncio.timeout(30):
            assert await client.wait() in (1, 129)
    finally:
        if client.returncode is None:
            client.kill()
            await client.wait()
