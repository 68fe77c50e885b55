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
from typing import Any

import pytest

from tests.support.requirements import SANDBOX_IMAGE, require_bubblewrap, require_docker

ROOT = Path(__file__).resolve().parents[2]
_COMMAND = [sys.executable, "-m", "scripts.bench", "--quick", "--runtime", "bubblewrap"]
_DOCKER = [sys.executable, "-m", "scripts.bench", "--quick", "--runtime", "docker"]

_LIBRARY = "harness docker_sandbox"
_PROMISED_OF_DOCKER = {
    "idle sandbox, docker stats": {"docker run sleep", _LIBRARY},
    "session ready (docker)": {"docker run, first output", f"{_LIBRARY}, first command"},
    "read 1 KB (docker)": {"docker exec", _LIBRARY},
    "write 1 KB (docker)": {"docker exec", _LIBRARY},
    "command `true` (docker)": {"docker exec", _LIBRARY},
    "Lua `return 1` (docker)": {"docker exec"},
    "grep 5000 files (docker)": {"rg directly", "docker exec", _LIBRARY},
}
"""Every figure that is promised of a sandbox, and what must stand beside it."""
_PROMISED_OF_SESSIONS = {
    "archive save, 1000 messages",
    "listing of 100 saved sessions of 5 MiB",
    "/resume of 1000 messages -> its end on screen",
    "client start -> shows a key",
}


def _figures(words: list[str], directory: Path, result: Path) -> dict[str, dict[str, Any]]:
    """Run the command to its end and return its figures by name."""
    done = subprocess.run(
        [*words, "--json", str(result)],
        cwd=ROOT,
        env=_environment(directory),
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads(result.read_text())
    for name in [figure["name"] for figure in document["figures"]]:
        assert name in done.stdout
    return {figure["name"]: figure for figure in document["figures"]}


def _has_a_target(figure: dict[str, Any]) -> bool:
    ratios = [each["target_ratio"] for each in figure["beside"]]
    return figure["target"] is not None or any(each is not None for each in ratios)


def _environment(directory: Path) -> dict[str, str]:
    return {**os.environ, "TMPDIR": str(directory), "JIDO_SANDBOX_IMAGE": SANDBOX_IMAGE}


def _left(directory: Path) -> list[str]:
    """Whatever of a run in `directory` still exists: its files and its processes."""
    processes = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                environment = (entry / "environ").read_bytes()
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            # A sandbox has nothing of ours in its environment; its project is among its words.
            if (
                f"JIDO_HOME={directory}".encode() in environment
                or f"{directory}/".encode() in words
            ):
                processes.append(entry.name)
    return [*processes, *(path.name for path in directory.iterdir())]


@pytest.fixture
def directory() -> Iterator[Path]:
    """A temporary directory whose path is short enough for sockets."""
    path = Path(f"/tmp/jb-{os.getpid()}")
    path.mkdir(mode=0o755)
    yield path
    path.rmdir()


@pytest.mark.bubblewrap
def test_figures_of_a_quick_run(directory: Path, tmp_path: Path) -> None:
    require_bubblewrap()
    words = [*_COMMAND, "--only", "stack", "--only", "session", "--only", "turns"]
    names = _figures(words, directory, tmp_path / "figures.json")
    assert names["session ready (bubblewrap)"]["p50"] > 0
    assert names["prompt accepted -> provider"]["beside"][0]["p50"] > 0
    assert names["provider's word -> client, 10 streaming"]["samples"] == 1000
    assert not _left(directory)


@pytest.mark.bubblewrap
def test_what_is_promised_of_sessions_is_measured(directory: Path, tmp_path: Path) -> None:
    require_bubblewrap()
    words = [*_COMMAND, "--only", "client", "--only", "saved"]
    figures = _figures(words, directory, tmp_path / "figures.json")
    assert figures.keys() >= _PROMISED_OF_SESSIONS
    assert all(_has_a_target(figures[name]) for name in _PROMISED_OF_SESSIONS)
    assert not _left(directory)


@pytest.mark.docker
def test_what_is_promised_of_sandboxes_is_measured_beside_others(
    directory: Path, tmp_path: Path
) -> None:
    require_docker()
    words = [*_DOCKER, "--only", "memory", "--only", "session", "--only", "tools"]
    figures = _figures(words, directory, tmp_path / "figures.json")
    for name, labels in _PROMISED_OF_DOCKER.items():
        assert _has_a_target(figures[name]), name
        assert {each["label"] for each in figures[name]["beside"]} >= labels, name
    assert not _left(directory)


@pytest.mark.bubblewrap
def test_an_interrupted_run_ends_in_order(directory: Path) -> None:
    require_bubblewrap()
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
