"""Resuming a long conversation, from Enter to the end of its transcript on the screen.

The client, the api and the archive are the real ones; the session's sandbox starts meanwhile.
Beside it: the same file read and parsed with nothing of ours.
"""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Final

from orchestrator.archive.archive import Archive
from scripts.bench.client import LETTERS, until_it_takes_keys
from scripts.bench.clock import repeated, since
from scripts.bench.figures import Beside, Figure
from scripts.bench.saved import MESSAGES, conversation, header
from scripts.bench.scene import Scene
from scripts.bench.terminal import Terminal, client

RESUMED_MS: Final = 200.0
"""Milliseconds from Enter until the transcript's end is drawn."""
_DRAWN_S: Final = 20.0
_ERASE: Final = "\x15"
"""Ctrl+U: empties the line."""
_PAUSE_S: Final = 0.5
"""Seconds in which the screen comes to rest."""


async def resume_to_screen(scene: Scene) -> None:
    """Resume one saved session after the other; each is new to the client."""
    archive = Archive(scene.settings.home)
    saved = []
    # Ten sessions may be open, and the client's own is one of them.
    for number in range(1 + scene.rounds(8, 3)):
        saved.append(await _saved(scene, archive, f"Zuletzt{number:02}"))
    times: list[float] = []
    async with scene.session() as session:
        terminal = client(scene, session["project_path"])
        try:
            if not await terminal.draws("", "Sandbox", _DRAWN_S):
                raise RuntimeError("the client did not show its session")
            await until_it_takes_keys(terminal, iter(LETTERS))
            terminal.press(_ERASE)
            await asyncio.sleep(_PAUSE_S)
            for identity, last in saved:
                times.append(await _resumed(terminal, identity, last))
                await _at_rest(scene, identity)
        finally:
            await terminal.close()
            for identity, _ in saved[: len(times)]:
                await scene.close_session({"id": identity})
    file = archive.path_of(saved[0][0])
    parsed = await repeated(3, lambda: asyncio.to_thread(_parse, file))
    for identity, _ in saved:
        await archive.delete(identity)
    name = f"/resume of {MESSAGES} messages -> its end on screen"
    # The first one loads what draws Markdown.
    beside = [Beside("read + json.loads", parsed)]
    scene.figures.append(Figure(name, times[1:], at_most=RESUMED_MS, beside=beside))


async def _saved(scene: Scene, archive: Archive, last: str) -> tuple[str, str]:
    """Save a conversation that ends with the word `last`; return its identifier and the word."""
    # Kept: closing it unsaved then leaves the file.
    described = header(MESSAGES, str(scene.project())).model_copy(update={"kept": True})
    contents = conversation(MESSAGES)
    contents.entries[-1].message.parts[-1].text += last  # type: ignore[union-attr]
    await archive.save(described, contents)
    return described.id, last


async def _resumed(terminal: Terminal, identity: str, last: str) -> float:
    terminal.press(f"/resume {identity}")
    await asyncio.sleep(_PAUSE_S)
    start = time.perf_counter()
    if not await terminal.draws("\r", last, _DRAWN_S):
        raise RuntimeError("the client did not show the end of a resumed conversation")
    return since(start)


async def _at_rest(scene: Scene, identity: str) -> None:
    """Wait until its sandbox is ready: one that starts would take part in what comes next."""
    async with asyncio.timeout(_DRAWN_S):
        while True:
            session = (await scene.client.get(f"/v1/sessions/{identity}")).json()
            if session["status"] in ("ready", "failed"):
                break
            await asyncio.sleep(0.05)
    await asyncio.sleep(_PAUSE_S)


def _parse(path: Path) -> object:
    return json.loads(path.read_bytes())
