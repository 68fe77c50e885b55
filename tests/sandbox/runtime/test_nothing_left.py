"""A command that is ended takes along what it started, also what hides; others are left alone."""

from __future__ import annotations

import asyncio

import pytest
from pydantic_ai.workspaces import WorkspaceTimeoutError

from tests.support.sandboxes import Sandbox, Sandboxes

LOWER = "env -i /bin/bash -c 'ulimit {option} 7 && exec setsid /bin/sleep 300' &"

LOWERED = LOWER.format(option="-x")
INNER = LOWERED.replace("'", '"')

HIDING = {
    "its-own-session": "setsid sleep 300 &",
    "no-environment": "env -i setsid /bin/sleep 300 &",
    "a-lower-limit": "bash -c 'ulimit -x 7 && exec setsid sleep 300' &",
    "both": LOWERED,
    "both-softly": LOWER.format(option="-S -x"),
    "both-and-orphaned": f"({LOWERED})",
    "both-twice": f"(env -i bash -c 'ulimit -x 9; {INNER}' &)",
}
"""Ways to be of no command: each leaves one process that sleeps."""

FIVE_MINUTES = "'^(/bin/)?sleep 300$'"


async def sleeping(sandbox: Sandbox) -> int:
    """How many processes sleep for five minutes."""
    return int((await sandbox.shell(f"pgrep -c -f {FIVE_MINUTES}")).stdout)


async def until_sleeping(sandbox: Sandbox, count: int) -> None:
    """Wait until that many do."""
    async with asyncio.timeout(20):
        while await sleeping(sandbox) != count:  # noqa: ASYNC110 (other processes are awaited)
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("hiding", HIDING.values(), ids=HIDING)
async def test_what_hides_ends_with_its_command(sandboxes: Sandboxes, hiding: str) -> None:
    sandbox = await sandboxes.start()
    # The same left behind at a normal end goes on, so it is the ending that ends it.
    await sandbox.shell(hiding)
    await until_sleeping(sandbox, 1)
    await sandbox.shell(f"pkill -f {FIVE_MINUTES}")
    with pytest.raises(WorkspaceTimeoutError):
        await sandbox.workspace.run(f"{hiding}\nsleep 60", shell=True, timeout=0.5)
    assert await sleeping(sandbox) == 0


async def test_what_others_started_is_left_alone(sandboxes: Sandboxes) -> None:
    sandbox = await sandboxes.start()
    await sandbox.shell("setsid sleep 300 & env -i setsid /bin/sleep 300 &")
    beside = asyncio.create_task(
        sandbox.workspace.run("bash -c 'ulimit -x 7; sleep 300' & wait", shell=True, timeout=30)
    )
    await until_sleeping(sandbox, 3)
    with pytest.raises(WorkspaceTimeoutError):
        await sandbox.workspace.run("setsid sleep 299 & sleep 60", shell=True, timeout=0.5)
    assert await sleeping(sandbox) == 3
    assert (await sandbox.shell("pgrep -c -f '^sleep 299$'")).stdout.strip() == "0"
    beside.cancel()
    await asyncio.gather(beside, return_exceptions=True)


async def test_a_mark_cannot_be_taken_off(sandboxes: Sandboxes) -> None:
    sandbox = await sandboxes.start()
    words = "ulimit -H -x; ulimit -x unlimited; ulimit -x 7; ulimit -x"
    done = await sandbox.workspace.run(["bash", "-c", words])
    given, lowered = done.stdout.split()
    assert int(given) > 1 << 40
    assert lowered == "7"
    assert "not permitted" in done.stderr
