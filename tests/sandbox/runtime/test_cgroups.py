"""Control groups around bubblewrap: the kernel's own where this machine lets us make them.

The second generation is checked on a tree of files of the same names, since a machine
has its controllers in one generation only.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.sandboxes import cgroups
from orchestrator.sandboxes.interior import sandbox_name
from tests.support.requirements import require, require_bubblewrap
from tests.support.sandboxes import LIMITS, Sandboxes, own_groups

SMALL = replace(LIMITS, memory_bytes=96 * 1024 * 1024, pids=50, cpus=0.5)
SHARED = "python3 -c 'import os; f = os.memfd_create(\"x\"); print(os.write(f, bytes({} << 20)))'"


@pytest.fixture
async def sandboxes() -> AsyncIterator[Sandboxes]:
    require_bubblewrap()
    opened = Sandboxes("bubblewrap")
    try:
        yield opened
    finally:
        await opened.close()


async def test_a_sandbox_lives_in_a_group_of_its_own(sandboxes: Sandboxes) -> None:
    require(own_groups(), "No control group can be made here.")
    sandbox = await sandboxes.start(limits=SMALL)
    name = sandbox_name(sandbox.spec.instance_id, sandbox.spec.session_id)
    found = [path for path in Path("/sys/fs/cgroup").glob(f"*/{name}") if path.is_dir()]
    found += [Path("/sys/fs/cgroup", name)] if Path("/sys/fs/cgroup", name).is_dir() else []
    assert found
    inside = {int(pid) for path in found for pid in (path / "cgroup.procs").read_text().split()}
    assert inside
    assert os.getpid() not in inside
    # Memory of a process and memory that no process has are counted alike.
    assert (await sandbox.shell(SHARED.format(20))).exit_code == 0
    hog = "python3 -c 'print(len(bytearray({} << 20)))'"
    assert (await sandbox.shell(hog.format(20))).exit_code == 0
    assert (await sandbox.shell(SHARED.format(200))).exit_code != 0
    assert (await sandbox.shell(hog.format(200))).exit_code != 0
    assert (await sandbox.shell("echo alive")).stdout == "alive\n"
    await sandboxes.runtime.stop(sandbox.spec.session_id)
    assert not any(path.exists() for path in found)


def test_limits_of_the_kernel_are_those_asked_for() -> None:
    require(own_groups(), "No control group can be made here.")
    group = cgroups.make(f"jido-test-{os.getpid()}", SMALL)
    process = subprocess.Popen(["sleep", "60"])
    try:
        group.add(process.pid)
        named = {path.name: path for each in group.directories for path in Path(each).iterdir()}
        memory = named.get("memory.max") or named["memory.limit_in_bytes"]
        assert memory.read_text().strip() == str(SMALL.memory_bytes)
        assert named["pids.max"].read_text().strip() == str(SMALL.pids)
        listed = Path(group.directories[0], "cgroup.procs").read_text().split()
        assert str(process.pid) in listed
        assert group.kills() == 0
    finally:
        process.kill()
        process.wait()
        group.remove()
    assert not any(os.path.exists(each) for each in group.directories)


def unified(tmp_path: Path, own: str) -> tuple[Path, Path]:
    """Lay out a second generation's root, and the file that names one's own group."""
    root = tmp_path / "cgroup"
    (root / own.strip("/")).mkdir(parents=True)
    (root / "cgroup.controllers").write_text("cpu memory pids\n")
    membership = tmp_path / "membership"
    membership.write_text(f"1:name=other:/\n0::{own}\n")
    return root, membership


def test_the_second_generation_is_shared_out_beside_ones_own_group(tmp_path: Path) -> None:
    own = "/user.slice/user@1000.service/app.slice/jido.scope"
    root, membership = unified(tmp_path, own)
    group = cgroups.make("jido-1-2", SMALL, root=root, membership=membership)
    parent = root / "user.slice/user@1000.service/app.slice"
    assert group.directories == (str(parent / "jido-1-2"),)
    written = {path.name: path.read_text() for path in (parent / "jido-1-2").iterdir()}
    assert written == {
        "memory.max": str(SMALL.memory_bytes),
        "memory.swap.max": "0",
        "pids.max": "50",
        "cpu.max": "50000 100000",
    }
    assert (parent / "cgroup.subtree_control").exists()
    group.add(4711)
    assert (parent / "jido-1-2" / "cgroup.procs").read_text() == "4711"
    (parent / "jido-1-2" / "memory.events").write_text("low 0\noom 2\noom_kill 3\n")
    assert group.kills() == 3
    (parent / "jido-1-2" / "cpu.stat").write_text("usage_usec 1\n")
    shown = [inside for _, inside in group.counters()]
    assert shown == ["/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/cpu.stat"]


def test_the_root_of_the_second_generation_shares_itself(tmp_path: Path) -> None:
    root, membership = unified(tmp_path, "/")
    group = cgroups.make("jido-1-2", SMALL, root=root, membership=membership)
    assert group.directories == (str(root / "jido-1-2"),)


@pytest.mark.parametrize("missing", ["root", "membership", "name"])
def test_where_no_group_can_be_had_there_is_none(tmp_path: Path, missing: str) -> None:
    root, membership = unified(tmp_path, "/own/group")
    if missing == "root":
        group = cgroups.make("jido-1-2", SMALL, root=tmp_path / "none", membership=membership)
    elif missing == "membership":
        group = cgroups.make("jido-1-2", SMALL, root=root, membership=tmp_path / "none")
    else:
        (root / "own" / "jido-1-2").write_text("in the way")
        group = cgroups.make("jido-1-2", SMALL, root=root, membership=membership)
    assert group == cgroups.Group(())
    assert not group.limited
    group.remove()
