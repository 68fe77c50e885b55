"""The terminal client, in a real terminal: from its start to the first key that it shows, and from
a key to its picture while ten sessions stream.

Each key is a letter that nothing else on the screen has.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Final

from scripts.bench.clock import since
from scripts.bench.figures import Figure
from scripts.bench.processes import processor_ms, pss_mib
from scripts.bench.scene import Scene
from scripts.bench.terminal import Terminal, client
from scripts.bench.turns import PAUSE_MS, STREAMS, submit

KEY_MS: Final = 50.0
"""Milliseconds from a key to its picture, 95th percentile."""
TAKES_KEYS_MS: Final = 500.0
"""Milliseconds from the client's start to the first key that it shows."""
_START_S: Final = 20.0
"""Seconds the client may take until it takes keys."""
_AGAIN_S: Final = 0.02
"""Seconds between two keys while the client starts: as exact as the first key's time can be."""
_SHOWN_S: Final = 5.0
"""Seconds in which a key must be shown."""
LETTERS: Final = [chr(code) for code in (*range(0x410, 0x450), *range(0x3B1, 0x3C2))]
"""Cyrillic and Greek: on no screen of ours, and one cell wide."""


async def client_start(scene: Scene) -> None:
    """Measure starts of the client on a session that is ready."""
    times = []
    async with scene.session() as session:
        for number in range(1 + scene.rounds(10, 3)):
            start = time.perf_counter()
            terminal = client(scene, session["project_path"])
            try:
                await until_it_takes_keys(terminal, iter(LETTERS))
                if number:
                    # The first one finds cold caches.
                    times.append(since(start))
            finally:
                await terminal.close()
    scene.figures.append(Figure("client start -> shows a key", times, at_most=TAKES_KEYS_MS))


async def key_to_paint(scene: Scene) -> None:
    """Measure the time of each key, and what the client uses meanwhile."""
    keys = scene.rounds(50, 20)
    prompt = f"chunks={keys * 150 // PAUSE_MS + 200} pause_ms={PAUSE_MS}"
    async with scene.sessions(STREAMS) as sessions:
        letters = iter(LETTERS)
        terminal = client(scene, sessions[0]["project_path"])
        try:
            await until_it_takes_keys(terminal, letters)
            for session in sessions:
                await submit(scene, session, prompt)
            await asyncio.sleep(2)
            await _measure(scene, terminal, letters, keys)
        finally:
            await terminal.close()


async def until_it_takes_keys(terminal: Terminal, letters: Iterator[str]) -> None:
    """Press the first of `letters` until it is drawn; raises RuntimeError."""
    deadline = time.monotonic() + _START_S
    letter = next(letters)
    while not await terminal.show(letter, _AGAIN_S):
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
