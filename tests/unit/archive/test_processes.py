"""Two processes that save at once lose nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from orchestrator.archive.archive import Archive

_SAVE = """
import asyncio, sys
from pathlib import Path
from orchestrator.archive.archive import Archive
from tests.unit.archive.conftest import contents_of, header_of
from tests.unit.archive.rich import SESSION_ID

async def save(home: Path, name: str, first: int) -> None:
    archive = Archive(home)
    sys.stdin.readline()
    for number in range(first, 60, 2):
        await archive.save(
            header_of(f"shared {number}", session_id=SESSION_ID, minutes=number),
            contents_of(*["x" * 2000] * (number + 1)),
        )
        await archive.save(header_of(f"{name} {number}"), contents_of(name, str(number)))

asyncio.run(save(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
"""


def _save_at_once(home: Path) -> None:
    running = [
        subprocess.Popen(
            [sys.executable, "-c", _SAVE, str(home), name, str(first)],
            stdin=subprocess.PIPE,
            text=True,
        )
        for first, name in enumerate(("even", "odd"))
    ]
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in running:
        process.communicate(timeout=120)
    assert [process.returncode for process in running] == [0, 0]


async def test_two_processes_that_save_at_once_lose_nothing(home: Path) -> None:
    _save_at_once(home)
    listed = await Archive(home).listing()
    assert {entry.error for entry in listed} == {None}
    names = {entry.name for entry in listed}
    assert names == {
        "shared 59",
        *(f"even {number}" for number in range(0, 60, 2)),
        *(f"odd {number}" for number in range(1, 60, 2)),
    }
    for entry in listed:
        header, contents = await Archive(home).load(entry.id)
        assert header.name == entry.name
        assert len(contents.entries) == (60 if entry.name == "shared 59" else 2)
    left = {path.name for path in (home / "sessions").iterdir()}
    assert left == {".lock", *(f"{entry.id}.json" for entry in listed)}
