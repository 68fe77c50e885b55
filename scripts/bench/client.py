"""The terminal client while ten sessions stream: from a key to its picture, in a real terminal.

Owns the pseudo-terminal. Each key is a letter that nothing else on the screen has, so that
the bytes which draw it are found among all that the streams draw.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from typing import Final

from scripts.bench.clock import since
from scripts.bench.figures import Figure
from scripts.bench.processes import processor_ms, pss_mib
from scripts.bench.scene import Scene
from scripts.bench.turns import PAUSE_MS, STREAMS, submit

ROWS: Final = 40
COLUMNS: Final = 120
KEY_MS: Final = 50.0
"""Milliseconds from a key to its picture, 95th percentile."""
_START_S: Final = 20.0
"""Seconds the client may take until it takes keys."""
_SHOWN_S: Final = 5.0
"""Seconds in which a key must be shown."""
_LETTERS: Final = [chr(code) for code in (*range(0x410, 0x450), *range(0x3B1, 0x3C2))]
"""Cyrillic and Greek: on no screen of ours, and one cell wide."""
_MAX_KEPT_BYTES: Final = 1 << 20

_PROGRAM: Final = "import sys; from orchestrator.cli.tui import main; sys.exit(main())"


class Terminal:
    """A program in a terminal of its own, whose output is read as it comes."""

    def __init__(self, words: list[str], environment: dict[str, str]) -> None:
        """Start it; needs a running event loop."""
        self._end, other = pty.openpty()
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("4H", ROWS, COLUMNS, 0, 0))
        # Until the client takes over, the terminal itself would show what is typed.
        settings = termios.tcgetattr(other)
        settings[3] &= ~(termios.ECHO | termios.ICANON)
        termios.tcsetattr(other, termios.TCSANOW, settings)
        self.process = subprocess.Popen(
            words,
            stdin=other,
            stdout=other,
            stderr=other,
            env=environment,
            start_new_session=True,
        )
        os.close(other)
        self._seen = b""
        self._news = asyncio.Event()
        os.set_blocking(self._end, False)
        asyncio.get_running_loop().add_reader(self._end, self._read)

    async def show(self, letter: str, timeout_s: float) -> bool:
        """Press the key of `letter` and wait until it is drawn; False when it is not in time."""
        self._seen = b""
        os.write(self._end, letter.encode())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while letter.encode() not in self._seen:
                    self._news.clear()
                    await self._news.wait()
                return True
        return False

    async def close(self) -> None:
        """End the program and release the terminal."""
        self.process.terminate()
        try:
            await asyncio.to_thread(self.process.wait, 5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            await asyncio.to_thread(self.process.wait)
        finally:
            asyncio.get_running_loop().remove_reader(self._end)
            os.close(self._end)

    def _read(self) -> None:
        try:
            data = os.read(self._end, 1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self._end)
        self._seen = (self._seen + data)[-_MAX_KEPT_BYTES:]
        self._news.set()


async def key_to_paint(scene: Scene) -> None:
    """Measure the time of each key, and what the client uses meanwhile."""
    keys = scene.rounds(50, 20)
    prompt = f"chunks={keys * 150 // PAUSE_MS + 200} pause_ms={PAUSE_MS}"
    async with scene.sessions(STREAMS) as sessions:
        letters = iter(_LETTERS)
        terminal = Terminal(_words(scene, sessions[0]["project_path"]), _environment(scene))
        try:
            start = time.perf_counter()
            await _until_it_takes_keys(terminal, letters)
            ready = since(start)
            for session in sessions:
                await submit(scene, session, prompt)
            await asyncio.sleep(2)
            await _measure(scene, terminal, letters, keys)
        finally:
            await terminal.close()
    scene.figures.append(Figure("  client start -> takes keys", [ready]))


async def _until_it_takes_keys(terminal: Terminal, letters: Iterator[str]) -> None:
    deadline = time.monotonic() + _START_S
    letter = next(letters)
    while not await terminal.show(letter, 0.1):
        if terminal.process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("the client takes no keys")


async def _measure(scene: Scene, terminal: Terminal, letters: Iterator[str], keys: int) -> None:
    pid = terminal.process.pid
    used, start, times = processor_ms(pid), time.perf_counter(), []
    for letter in [next(letters) for _ in range(keys)]:
        pressed = time.perf_counter()
        if not await terminal.show(letter, _SHOWN_S):
            raise RuntimeError("the client did not show a key")
        times.append(since(pressed))
        await asyncio.sleep(0.1)
    percent = (processor_ms(pid) - used) * 100 / since(start)
    name = f"client, key -> picture, {STREAMS} streaming"
    scene.figures.append(Figure(name, times, at_most=KEY_MS, held="p95"))
    scene.figures.append(Figure("  client, of a processor meanwhile", [percent], "%"))
    scene.figures.append(Figure("  client, PSS", [pss_mib(pid)], "MiB"))


def _words(scene: Scene, project: str) -> list[str]:
    return [sys.executable, "-c", _PROGRAM, project, "--server", scene.lease.url]


def _environment(scene: Scene) -> dict[str, str]:
    return {
        **os.environ,
        "JIDO_HOME": str(scene.settings.home),
        "JIDO_URL": scene.lease.url,
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
    }
