"""How containers are reached: straight where their tool server was handed the socket, else not."""

from __future__ import annotations

import asyncio
import os
import subprocess
from contextlib import suppress

import pytest

from orchestrator.sandboxes.channel import Channel
from orchestrator.sandboxes.runtime_errors import SandboxStartFailed
from tests.support.docker import containers, inspect
from tests.support.other_view import act_behind
from tests.support.requirements import require
from tests.support.sandboxes import Sandbox, Sandboxes

pytestmark = [
    pytest.mark.docker,
    pytest.mark.parametrize("sandboxes", ["docker"], indirect=True),
]

START_TWICE = """
async def act(runtime, spec, path):
    for _ in range(2):
        await runtime.start(spec, path)
        workspace = SandboxWorkspace(path, spec.session_id)
        print("said", (await workspace.run(["echo", "here"])).stdout)
        await workspace.aclose()
        await runtime.stop(spec.session_id)
"""


def commands_of(sandbox: Sandbox) -> list[str]:
    """The engine's commands in a sandbox, as a relay needs one for each connection."""
    (name,) = containers(f"jido.session={sandbox.spec.session_id}")
    return inspect(name)["ExecIDs"] or []


async def test_nothing_stands_between_a_caller_and_the_tool_server(sandboxes: Sandboxes) -> None:
    sandbox = await sandboxes.start()
    assert (await sandbox.shell("echo here")).stdout == "here\n"
    assert commands_of(sandbox) == []
    left = [each.name for each in (sandbox.project / ".jido_code").iterdir()]
    assert not [name for name in left if name.startswith("handover")]


async def test_a_call_goes_on_while_the_supervisor_is_replaced(sandboxes: Sandboxes) -> None:
    sandbox = await sandboxes.start()
    async with await Channel.connect(sandbox.socket_path) as channel:
        running = asyncio.create_task(channel.request("run", {"command": ["sleep", "1"]}))
        await asyncio.sleep(0.1)
        await sandboxes.runtime.close()
        sandboxes.runtime = sandboxes.another_runtime()
        assert await sandboxes.runtime.adopt(sandbox.spec.session_id, sandbox.socket_path)
        assert (await running).result["exit_code"] == 0
    assert commands_of(sandbox) == []
    await sandboxes.runtime.stop(sandbox.spec.session_id)
    assert not os.path.exists(sandbox.socket_path)


async def test_a_lost_socket_is_made_up_for_by_a_relay(sandboxes: Sandboxes) -> None:
    sandbox = await sandboxes.start()
    await sandboxes.runtime.close()
    sandboxes.runtime = sandboxes.another_runtime()
    os.unlink(sandbox.socket_path)
    assert await sandboxes.runtime.adopt(sandbox.spec.session_id, sandbox.socket_path)
    again = sandboxes.open(sandbox.spec, sandbox.socket_path)
    assert (await again.shell("echo here")).stdout == "here\n"
    assert commands_of(sandbox)


async def test_a_socket_that_lies_elsewhere_now_is_moved(sandboxes: Sandboxes) -> None:
    sandbox = await sandboxes.start()
    await sandboxes.runtime.close()
    sandboxes.runtime = sandboxes.another_runtime()
    elsewhere = str(sandboxes.base / "elsewhere.sock")
    assert await sandboxes.runtime.adopt(sandbox.spec.session_id, elsewhere)
    again = sandboxes.open(sandbox.spec, elsewhere)
    assert (await again.shell("echo here")).stdout == "here\n"
    assert commands_of(sandbox) == []
    assert not os.path.exists(sandbox.socket_path)


async def test_what_is_ended_before_it_is_adopted_leaves_no_socket(sandboxes: Sandboxes) -> None:
    sandbox = await sandboxes.start()
    await sandboxes.runtime.close()
    sandboxes.runtime = sandboxes.another_runtime()
    assert os.path.exists(sandbox.socket_path)
    await sandboxes.runtime.stop(sandbox.spec.session_id)
    assert not os.path.exists(sandbox.socket_path)


async def test_a_project_that_cannot_be_written_is_reached_by_a_relay(
    sandboxes: Sandboxes,
) -> None:
    project = sandboxes.project(git=False)
    require(os.getuid() == 0, "Only root can make a project that its owner cannot write.")
    os.chown(project, 0, 0)
    sandbox = await sandboxes.start(project)
    assert (await sandbox.shell("echo here")).stdout == "here\n"
    assert (await sandbox.shell("touch x")).exit_code != 0
    assert commands_of(sandbox)


async def test_where_the_project_is_another_view_a_relay_serves_and_is_remembered(
    sandboxes: Sandboxes,
) -> None:
    require(os.getuid() == 0, "Only root can show one process another view of a project.")
    first = await sandboxes.start()
    await sandboxes.runtime.stop(first.spec.session_id)
    copy = sandboxes.base / "copy"
    await asyncio.to_thread(subprocess.run, ["cp", "-a", str(first.project), str(copy)], check=True)
    mount = f"mount --bind {copy} {first.spec.project_path}"
    path = str(sandboxes.base / "view.sock")
    said = await asyncio.to_thread(act_behind, mount, START_TWICE, first.spec, path)
    assert said.count("said here") == 2
    assert said.count("channel.relayed") == 1


async def test_a_start_cut_short_in_the_handover_leaves_nothing(sandboxes: Sandboxes) -> None:
    for wait_s in (0.05, 0.12, 0.18, 0.22):
        spec = sandboxes.spec(sandboxes.project(f"p{wait_s}"))
        path = sandboxes.socket_path(spec)
        starting = asyncio.create_task(sandboxes.runtime.start(spec, path))
        await asyncio.sleep(wait_s)
        starting.cancel()
        with suppress(asyncio.CancelledError, SandboxStartFailed):
            await starting
        await sandboxes.runtime.stop(spec.session_id)
        assert not sandboxes.left_behind()
        assert not os.path.exists(path)
