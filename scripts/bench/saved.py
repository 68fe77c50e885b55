"""Saved sessions: save and load one of 1,000 messages, list a hundred of 5 MiB.

Beside it: the same bytes written and synced, read and parsed, or their beginnings read,
with nothing of ours.
"""

from __future__ import annotations

import asyncio
import json
import os
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.archive.archive import Archive
from orchestrator.archive.document import HEAD_BYTES, Contents, Header
from orchestrator.domain.history import HistoryEntry
from orchestrator.domain.ids import new_id
from orchestrator.domain.message import Message, TextPart
from orchestrator.domain.models import SessionConfig
from orchestrator.domain.session import Usage
from scripts.bench.clock import repeated
from scripts.bench.figures import Beside, Figure
from scripts.bench.scene import Scene

MESSAGES = 1000
LISTED = 100
LISTED_BYTES = 5 * 1024 * 1024
SAVED_MS = 100.0
"""Milliseconds that saving may take."""
LISTED_MS = 50.0
"""Milliseconds that listing may take; it must read beginnings only."""


async def saved_sessions(scene: Scene) -> None:
    """Measure in a directory of its own."""
    home = scene.base / "saved"
    home.mkdir()
    archive = Archive(home)
    described = header(MESSAGES)
    contents = conversation(MESSAGES)
    rounds = scene.rounds(10, 4)
    save = await repeated(rounds, lambda: archive.save(described, contents))
    load = await repeated(rounds, lambda: archive.load(described.id))
    file = next((home / "sessions").glob("*.json"))
    data = file.read_bytes()
    written = await repeated(rounds, lambda: asyncio.to_thread(_write, home / "bare", data))
    parsed = await repeated(rounds, lambda: asyncio.to_thread(_parse, file))
    size = f"{len(data) / 1024:.0f} KiB"
    name = f"archive save, {MESSAGES} messages"
    beside = [Beside("write + fsync of its bytes", written)]
    scene.figures.append(Figure(name, save, at_most=SAVED_MS, beside=beside, note=size))
    name = f"archive load, {MESSAGES} messages"
    scene.figures.append(Figure(name, load, beside=[Beside("read + json.loads", parsed)]))
    await archive.delete(described.id)
    await _listing(scene, archive, home / "sessions")


async def _listing(scene: Scene, archive: Archive, directory: Path) -> None:
    contents = conversation(1, "x" * LISTED_BYTES)
    for _ in range(LISTED):
        await archive.save(header(1), contents)
    times = await repeated(10, archive.listing)
    bare = await repeated(10, lambda: asyncio.to_thread(_read_beginnings, directory))
    name = f"listing of {LISTED} saved sessions of 5 MiB"
    beside = [Beside("read of each beginning", bare)]
    scene.figures.append(Figure(name, times, at_most=LISTED_MS, beside=beside))


def header(messages: int, project_path: str = "/nowhere") -> Header:
    """Describe a session that was just saved."""
    moment = datetime.now(UTC)
    return Header(
        id=new_id(),
        name="bench",
        project_path=project_path,
        config=SessionConfig(),
        created_at=moment,
        updated_at=moment,
        messages=messages,
        turns=1,
        usage=Usage(),
    )


def conversation(messages: int, text: str = "A line of an answer.\n" * 40) -> Contents:
    """Return a conversation of so many messages, each of the same text."""
    turn_id, moment = new_id(), datetime.now(UTC)
    entries = [
        HistoryEntry(
            message=Message(
                id=new_id(),
                turn_id=turn_id,
                role="assistant" if number % 2 else "user",
                time=moment,
                parts=[TextPart(text=text)],
            )
        )
        for number in range(messages)
    ]
    return Contents(entries=entries)


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _parse(path: Path) -> object:
    return json.loads(path.read_bytes())


def _read_beginnings(directory: Path) -> None:
    for path in directory.iterdir():
        with path.open("rb") as file:
            file.read(HEAD_BYTES)
