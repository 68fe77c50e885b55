"""Shells, jobs and commands in real sandboxes: what they keep, and that all of them end."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import suppress
from pathlib import Path

import pytest

from orchestrator.sandboxes.channel import Channel
from orchestrator.sandboxes.errors import Cancelled, ToolTimeout
from orchestrator.sandboxes.results import output_of
from tests.support.sandboxes import Sandboxes

HIDING = "(env -i setsid sh -c 'echo $$ > hidden; exec sleep 600' &); (trap '' TERM; sleep 600)"


async def said(channel: Channel, operation: str, command: str, **arguments: object) -> str:
    """Run a command to its end; returns its output."""
    if operation == "run":
        arguments["shell"], payload = command, b""
    else:
        payload = command.encode()
    reply = await channel.request(operation, dict(arguments), payload, timeout_s=60)
    return output_of(reply.result, reply.payload).stdout.whole.decode()


async def count(channel: Channel, what: str) -> int:
    """How many processes there are inside with this command line."""
    return int(await said(channel, "run", f"pgrep -fc '^{what}' || true"))


async def test_a_shell_stays_and_ends_with_what_it_started(sandboxes: Sandboxes) -> None:
    sandbox = await sandboxes.start()
    async with await Channel.connect(sandbox.socket_path) as channel:
        await said(channel, "shell_run", "mkdir d; cd d; x=kept; sleep 601 &")
        assert await said(channel, "shell_run", "pwd; echo $x") == f"{sandbox.project}/d\nkept\n"
        assert await said(channel, "run", "pwd", cwd="d") == f"{sandbox.project}/d\n"
        await said(channel, "run", "until pgrep -f '^sleep 601'; do sleep 0.02; done")
        with pytest.raises(ToolTimeout):
            await said(channel, "shell_run", HIDING, timeout_s=1)
        await said(channel, "run", "while pgrep -f '^sleep'; do sleep 0.02; done")
        assert await said(channel, "shell_run", "pwd; echo [$x]") == f"{sandbox.project}\n[]\n"


async def test_cancelling_ends_even_what_hides(sandboxes: Sandboxes) -> None:
    sandbox = await sandboxes.start()
    async with await Channel.connect(sandbox.socket_path) as channel:
        job = (await channel.request("job_start", {"command": ["sleep", "602"]})).result["job"]
        running = asyncio.create_task(channel.request("run", {"shell": HIDING}, timeout_s=None))
        await said(channel, "run", "until [ -s hidden ]; do sleep 0.02; done", timeout_s=20)
        assert await count(channel, "sleep 600") == 2
        running.cancel()
        with pytest.raises((asyncio.CancelledError, Cancelled)):
            await running
        gone = "while pgrep -f '^sleep 600'; do sleep 0.05; done"
        await said(channel, "run", gone, timeout_s=20)
        # The control: what belongs to the session and not to the request goes on.
        assert await count(channel, "sleep 602") == 1
        killed = await channel.request("job_kill", {"job": job})
        assert killed.result["exit_code"] == 137


async def test_a_stopped_sandbox_takes_jobs_and_shells_along(sandboxes: Sandboxes) -> None:
    sandbox = await sandboxes.start()
    sleeps = [f"sleep {uuid.uuid4().int % 10**9 + 10**6}" for _ in range(3)]
    async with await Channel.connect(sandbox.socket_path) as channel:
        await channel.request("job_start", {"shell": f"exec {sleeps[0]}"})
        await said(channel, "shell_run", f"{sleeps[1]} & (env -i setsid {sleeps[2]} &)")
        await said(channel, "run", f"until pgrep -f '^{sleeps[2]}'; do sleep 0.02; done")
        # The control: they are seen from here while the sandbox lives.
        assert all(runs_here(command) for command in sleeps)
    await sandboxes.runtime.stop(sandbox.spec.session_id)
    assert not any(runs_here(command) for command in sleeps)


def runs_here(command: str) -> bool:
    """Whether a process of this machine, in a sandbox or not, has this command line."""
    wanted = command.replace(" ", "\0").encode() + b"\0"
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and (entry / "cmdline").read_bytes() == wanted:
                return True
    return False
