"""`make bench` measures on a stack of its own, and leaves nothing behind however it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.requirements import require_bubblewrap

ROOT = Path(__file__).resolve().parents[2]
_COMMAND = [sys.executable, "-m", "scripts.bench", "--quick", "--runtime", "bubblewrap"]

pytestmark = pytest.mark.bubblewrap


def _environment(directory: Path) -> dict[str, str]:
    return {**os.environ, "TMPDIR": str(directory)}


def _left(directory: Path) -> list[str]:
    """Whatever of a run in `directory` still exists: its files and its processes."""
    processes = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue
            if f"JIDO_HOME={directory}".encode() in environment:
                processes.append(entry.name)
    return [*processes, *(path.name for path in directory.iterdir())]


@pytest.fixture
def directory() -> Iterator[Path]:
    """A temporary directory whose path is short enough for sockets."""
    require_bubblewrap()
    path = Path(f"/tmp/jb-{os.getpid()}")
    path.mkdir(mode=0o755)
    yield path
    path.rmdir()


def test_figures_of_a_quick_run(directory: Path, tmp_path: Path) -> None:
    result = tmp_path / "figures.json"
    words = [*_COMMAND, "--only", "stack", "--only", "session", "--only", "turns"]
    done = subprocess.run(
        [*words, "--json", str(result)],
        cwd=ROOT,
        env=_environment(directory),
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(result.read_text())
    names = {figure["name"]: figure for figure in document["figures"]}
    assert names["session ready (bubblewrap)"]["p50"] > 0
    assert names["prompt accepted -> provider"]["beside"][0]["p50"] > 0
    assert names["provider's word -> client, 10 streaming"]["samples"] == 1000
    assert "session ready (bubblewrap)" in done.stdout
    assert not _left(directory)


def test_an_interrupted_run_ends_in_order(directory: Path) -> None:
    process = subprocess.Popen(
        [*_COMMAND, "--only", "session", "--only", "ten"],
        cwd=ROOT,
        env=_environment(directory),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert "session_ready" in process.stderr.readline()
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == 130
    assert complaint.splitlines()[-1].startswith("bench: interrupted")
    assert not _left(directory)
