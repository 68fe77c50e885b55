"""The README's first command on a clone that has nothing set up."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone of what is committed, without a virtual environment."""
    target = tmp_path / "clone"
    subprocess.run(
        ["git", "clone", "--quiet", "--no-hardlinks", str(REPOSITORY), str(target)], check=True
    )
    return target


def environment(home: Path) -> dict[str, str]:
    """The environment of a person without an engine, a key or a Redis."""
    kept = ("PATH", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR", "PIP_CERT", "REQUESTS_CA_BUNDLE")
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        **{name: value for name, value in os.environ.items() if name.startswith("PIP_")},
        "HOME": str(home),
        "DOCKER_HOST": f"unix://{home}/no-engine.sock",
        "TERM": "dumb",
    }


@pytest.mark.bubblewrap
@pytest.mark.timeout(400)
def test_make_run_without_a_terminal_gives_a_headless_tour(clone: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()

    outcome = subprocess.run(
        ["make", "run"],
        cwd=clone,
        env=environment(home),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert outcome.returncode == 0, outcome.stderr[-4000:]
    transcript = outcome.stdout
    for sign in ("Sandbox  bubblewrap", "* read_file", "* write_file", "* run_command", "OK"):
        assert sign in transcript, transcript
    written = clone / "examples/greeter/tour.md"
    assert written.read_text().strip() == "Written inside the sandbox, owned by you."
    unknown = subprocess.run(
        ["git", "status", "--porcelain"], cwd=clone, capture_output=True, text=True, check=True
    )
    assert unknown.stdout == ""
    assert not processes_of(home)
    assert not list((home / ".jido_code").glob("sessions/*.json"))


def processes_of(home: Path) -> list[str]:
    """Command lines of processes that still work for this home."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            try:
                words = (process / "environ").read_bytes()
            except OSError:
                continue
            if f"HOME={home}".encode() in words.split(b"\0"):
                found.append((process / "cmdline").read_bytes().decode(errors="replace"))
    return found
