"""A program in a pseudo-terminal of its own, driven by bytes and watched by what it draws.

Owns the terminal and that the program ends with it. What is waited for must be on no screen
otherwise, so that the bytes which draw it are found among all that is drawn.
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
from typing import Final

from scripts.bench.scene import Scene

ROWS: Final = 40
COLUMNS: Final = 120
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
        return await self.draws(letter, letter, timeout_s)

    async def draws(self, keys: str, text: str, timeout_s: float) -> bool:
        """Press `keys` and wait until `text` is drawn; False when it is not in time."""
        self._seen = b""
        self.press(keys)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while text.encode() not in self._seen:
                    self._news.clear()
                    await self._news.wait()
                return True
        return False

    def press(self, keys: str) -> None:
        """Press keys without waiting for anything."""
        if keys:
            os.write(self._end, keys.encode())

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


def client(scene: Scene, project: str) -> Terminal:
    """Start the client on a project of the scene, as a person who has one server does."""
    words = [sys.executable, "-c", _PROGRAM, project, "--server", scene.lease.url]
    return Terminal(words, _environment(scene))


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
