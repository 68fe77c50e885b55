"""The life of a sandbox: started, used, ended, crashed, adopted; the same on every runtime."""

from __future__ import annotations

import asyncio
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.sandboxes.runtime import SandboxExit, SandboxLimits, SandboxRuntime
from orchestrator.sandboxes.runtime_errors import (
    InvalidLimits,
    NetworkModeUnsupported,
    OciRuntimeMissing,
    SandboxStartFailed,
)
from tests.support.sandboxes import LIMITS, Sandboxes


async def next_exit(runtime: SandboxRuntime) -> SandboxExit:
    async for ended in runtime.exits():
        return ended
    raise AssertionError("the runtime was closed")


async def test_a_file_written_inside_is_the_owners_outside(sandboxes: Sandboxes) -> None:
    sandbox = await sandboxes.start()
    await sandbox.workspace.write_bytes("made/inside.txt", b"hello")
    status = (sandbox.project / "made" / "inside.txt").stat()
    assert (status.st_uid, status.st_gid) == sandboxes.owner
    assert (sandbox.project / "made" / "inside.txt").read_bytes() == b"hello"


async def test_the_project_has_its_host_path_and_is_the_working_directory(
    sandboxes: Sandboxes,
) -> None:
    sandbox = await sandboxes.start()
    done = await sandbox.shell('pwd; echo "$HOME"; echo "$TMPDIR"; touch "$TMPDIR/t" "$HOME/h"')
    project = str(sandbox.project)
    assert done.stdout.split() == [
        project,
        f"{project}/.jido_code/home",
        f"{project}/.jido_code/tmp",
    ]
    assert (done.exit_code, done.stderr) == (0, "")


async def test_what_is_made_in_the_project_is_the_owners_and_ignores_itself(
    sandboxes: Sandboxes,
) -> None:
    sandbox = await sandboxes.start()
    own = sandbox.project / ".jido_code"
    for path in [own, *own.iterdir(), sandbox.project / ".git" / "commondir"]:
        assert path.stat().st_uid == sandboxes.owner[0], path
    assert (own / ".gitignore").read_text() == "*\n"
    done = await sandbox.shell("git status --porcelain")
    assert (done.exit_code, done.stdout) == (0, "")


async def test_git_commits_inside(sandboxes: Sandboxes) -> None:
    sandbox = await sandboxes.start()
    done = await sandbox.shell(
        "echo a > a && git add a && "
        "git -c user.name=n -c user.email=e@x commit -qm first && git log --oneline | wc -l"
    )
    assert done.stdout.strip() == "1", done.stderr


async def test_the_channel_is_the_owners_alone(sandboxes: Sandboxes) -> None:
    sandbox = await sandboxes.start()
    status = os.stat(sandbox.socket_path)
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert status.st_uid == os.geteuid()


async def test_starting_twice_is_starting_once(sandboxes: Sandboxes) -> None:
    sandbox = await sandboxes.start()
    await sandbox.shell("echo kept > kept")
    await sandboxes.runtime.start(sandbox.spec, sandbox.socket_path)
    assert len(await sandboxes.runtime.running()) == 1
    assert (await sandbox.shell("cat kept")).stdout == "kept\n"


async def test_stopping_leaves_nothing_and_may_be_repeated(sandboxes: Sandboxes) -> None:
    sandbox = await sandboxes.start()
    await sandbox.shell("sleep 300 & setsid sleep 300 &")
    assert sandboxes.left_behind()
    await sandboxes.runtime.stop(sandbox.spec.session_id)
    assert not sandboxes.left_behind()
    assert not os.path.exists(sandbox.socket_path)
    await sandboxes.runtime.stop(sandbox.spec.session_id)
    assert await sandboxes.runtime.running() == []


async def test_running_lists_this_installation_only(sandboxes: Sandboxes) -> None:
    other = Sandboxes(sandboxes.kind)
    try:
        sandbox = await sandboxes.start()
        await other.start()
        assert [each.session_id for each in await sandboxes.runtime.running()] == [
            sandbox.spec.session_id
        ]
    finally:
        await other.close()


async def test_a_crash_is_told_and_the_session_starts_again(sandboxes: Sandboxes) -> None:
    sandbox = await sandboxes.start()
    waiting = asyncio.create_task(next_exit(sandboxes.runtime))
    await sandbox.shell("touch before")
    await sandbox.crash()
    ended = await asyncio.wait_for(waiting, 20)
    assert ended.session_id == sandbox.spec.session_id
    assert ended.reason == "exited"
    assert ended.exit_code not in (None, 0)
    assert await sandboxes.runtime.running() == []
    await sandboxes.runtime.start(sandbox.spec, sandbox.socket_path)
    again = sandboxes.open(sandbox.spec, sandbox.socket_path)
    assert (await again.shell("ls before")).exit_code == 0


async def test_being_stopped_is_no_exit(sandboxes: Sandboxes) -> None:
    first = await sandboxes.start(sandboxes.project("one"))
    second = await sandboxes.start(sandboxes.project("two"))
    waiting = asyncio.create_task(next_exit(sandboxes.runtime))
    await asyncio.sleep(0.3)
    await sandboxes.runtime.stop(first.spec.session_id)
    await second.crash()
    ended = await asyncio.wait_for(waiting, 20)
    assert ended.session_id == second.spec.session_id


async def test_closing_leaves_sandboxes_and_a_later_process_adopts_them(
    sandboxes: Sandboxes,
) -> None:
    sandbox = await sandboxes.start()
    await sandbox.shell("(sleep 300; true) & echo $! > started")
    await sandbox.workspace.aclose()
    await sandboxes.runtime.close()
    sandboxes.runtime = sandboxes.another_runtime()
    elsewhere = str(sandboxes.base / "elsewhere.sock")
    assert len(await sandboxes.runtime.running()) == 1
    assert await sandboxes.runtime.adopt(sandbox.spec.session_id, elsewhere)
    adopted = sandboxes.open(sandbox.spec, elsewhere)
    assert (await adopted.shell("kill -0 $(cat started)")).exit_code == 0
    waiting = asyncio.create_task(next_exit(sandboxes.runtime))
    await asyncio.sleep(0.3)
    await adopted.crash()
    assert (await asyncio.wait_for(waiting, 20)).session_id == sandbox.spec.session_id


async def test_what_is_dead_is_not_adopted(sandboxes: Sandboxes) -> None:
    spec = sandboxes.spec(sandboxes.project())
    assert not await sandboxes.runtime.adopt(spec.session_id, sandboxes.socket_path(spec))


async def test_ten_at_once_see_only_their_own(sandboxes: Sandboxes) -> None:
    projects = [sandboxes.project(f"p{number}") for number in range(10)]
    started = await asyncio.gather(*(sandboxes.start(project) for project in projects))
    done = await asyncio.gather(
        *(each.shell(f"ls {sandboxes.base}; echo {n} > mine") for n, each in enumerate(started))
    )
    for number, result in enumerate(done):
        assert result.stdout.split() == [f"p{number}"]
        assert (projects[number] / "mine").read_text() == f"{number}\n"
    assert len(await sandboxes.runtime.running()) == 10


async def test_many_connections_of_one_session(sandboxes: Sandboxes) -> None:
    sandbox = await sandboxes.start()
    opened = [sandboxes.open(sandbox.spec, sandbox.socket_path) for _ in range(5)]
    data = os.urandom(3_000_000)
    await asyncio.gather(
        *(each.workspace.write_bytes(f"f{n}", data) for n, each in enumerate(opened))
    )
    read = await asyncio.gather(
        *(each.workspace.read_bytes(f"f{n}") for n, each in enumerate(opened))
    )
    assert all(each == data for each in read)


async def test_a_failed_start_leaves_nothing(sandboxes: Sandboxes) -> None:
    project = sandboxes.project()
    spec = sandboxes.spec(project)
    unreachable = str(sandboxes.base / "missing" / "s.sock")
    with pytest.raises(SandboxStartFailed):
        await sandboxes.runtime.start(spec, unreachable)
    assert not sandboxes.left_behind()
    assert await sandboxes.runtime.running() == []


async def test_a_cancelled_start_leaves_nothing(sandboxes: Sandboxes) -> None:
    spec = sandboxes.spec(sandboxes.project())
    starting = asyncio.create_task(sandboxes.runtime.start(spec, sandboxes.socket_path(spec)))
    await asyncio.sleep(0.01)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not sandboxes.left_behind()
    assert not Path(sandboxes.socket_path(spec)).exists()


@pytest.mark.parametrize(
    "limits",
    [
        replace(LIMITS, memory_bytes=0),
        replace(LIMITS, cpus=0.0),
        replace(LIMITS, pids=0),
        replace(LIMITS, tmpfs_bytes=-1),
        replace(LIMITS, disk_bytes=-1),
    ],
)
async def test_limits_that_mean_unlimited_are_refused(
    sandboxes: Sandboxes, limits: SandboxLimits
) -> None:
    with pytest.raises(InvalidLimits):
        await sandboxes.start(limits=limits)


async def test_what_a_runtime_cannot_give_is_refused(sandboxes: Sandboxes) -> None:
    project = sandboxes.project()
    with pytest.raises(NetworkModeUnsupported):
        await sandboxes.start(project, limits=replace(LIMITS, network="allowlist"))
    with pytest.raises(OciRuntimeMissing):
        await sandboxes.start(project, change=lambda spec: replace(spec, oci_runtime="no-such"))
    assert not sandboxes.left_behind()
