"""Temporary file systems: there only when asked for, bounded, and missed with a word of help."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from orchestrator.agent.deltas import DeltaBuffer
from orchestrator.agent.live import LiveOutput, LiveWorkspace
from orchestrator.domain.events import NewEvent
from orchestrator.sandboxes.agent_workspace import AgentWorkspace
from tests.support.requirements import require
from tests.support.sandboxes import LIMITS, Sandbox, Sandboxes

SEMAPHORE = "python3 -c 'import multiprocessing; multiprocessing.Lock(); print(\"made\")'"
SETTING = "JIDO_SANDBOX_TMPFS"
GIVEN = replace(LIMITS, tmpfs_bytes=1_048_576)
MOUNTS = "grep -E ' (/tmp|/dev/shm) ' /proc/self/mounts"


async def _ignore(events: list[NewEvent]) -> None:
    await asyncio.sleep(0)


@asynccontextmanager
async def as_the_agent(sandbox: Sandbox) -> AsyncIterator[LiveWorkspace]:
    backend = AgentWorkspace(sandbox.socket_path, sandbox.spec.session_id)
    try:
        yield LiveWorkspace(backend, LiveOutput("turn", DeltaBuffer(_ignore)))
    finally:
        await backend.aclose()


async def test_a_semaphore_that_fails_says_which_setting_helps(sandboxes: Sandboxes) -> None:
    async with as_the_agent(await sandboxes.start()) as workspace:
        failed = await workspace.run(SEMAPHORE, shell=True)
        assert failed.exit_code != 0
        assert failed.stderr.count(SETTING) == 1
        in_shell, _ = await workspace.run_in_shell(SEMAPHORE, "main", 60)
        assert SETTING in in_shell.stdout + in_shell.stderr
        place = await workspace.run("echo x > /tmp/file", shell=True)
        assert SETTING in place.stderr
        assert "$TMPDIR" in place.stderr
        # Another failure is told as it is.
        assert SETTING not in (await workspace.run("cat /no/such/file", shell=True)).stderr


async def test_with_the_setting_semaphores_work(sandboxes: Sandboxes) -> None:
    async with as_the_agent(await sandboxes.start(limits=GIVEN)) as workspace:
        done = await workspace.run(SEMAPHORE, shell=True)
    assert (done.exit_code, done.stdout) == (0, "made\n"), done.stderr
    assert SETTING not in done.stderr


async def test_what_is_given_is_bounded_and_gains_nothing(sandboxes: Sandboxes) -> None:
    sandbox = await sandboxes.start(limits=GIVEN)
    mounts = [line.split() for line in (await sandbox.shell(MOUNTS)).stdout.splitlines()]
    assert sorted(line[1] for line in mounts) == ["/dev/shm", "/tmp"]
    for _, path, kind, options, *_ in mounts:
        assert kind == "tmpfs"
        assert {"nosuid", "nodev", "size=1024k"} <= set(options.split(",")), path
    # Not noexec: what may run from the project may run from there, and builds do so.
    assert (await sandbox.shell("cp /bin/true /tmp/x && /tmp/x")).exit_code == 0


async def test_a_project_of_root_gets_them_too(sandboxes: Sandboxes) -> None:
    require(os.getuid() == 0, "Only root can own a project of root.")
    sandboxes.owner = (0, 0)

    sandbox = await sandboxes.start(limits=GIVEN)
    assert (await sandbox.shell(SEMAPHORE)).stdout == "made\n"
