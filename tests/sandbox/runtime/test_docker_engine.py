"""What only the Docker runtime has: its flags, its labels, preparation through a container."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from orchestrator.sandboxes.docker import DockerRuntime
from orchestrator.sandboxes.docker_filter import filter_profile
from orchestrator.sandboxes.runtime_errors import (
    ImageMissing,
    OciRuntimeMissing,
    RuntimeUnavailable,
)
from tests.support.docker import containers, docker, inspect
from tests.support.other_view import act_behind
from tests.support.requirements import SANDBOX_IMAGE, require, require_docker
from tests.support.sandboxes import LIMITS, Sandboxes

pytestmark = pytest.mark.docker

START = """
async def act(runtime, spec, path):
    await runtime.start(spec, path)
"""


@pytest.fixture
async def sandboxes() -> AsyncIterator[Sandboxes]:
    require_docker()
    opened = Sandboxes("docker")
    try:
        yield opened
    finally:
        await opened.close()


async def test_the_container_carries_every_flag(sandboxes: Sandboxes) -> None:
    sandbox = await sandboxes.start()
    spec = sandbox.spec
    name = f"jido-{spec.instance_id[:8]}-{spec.session_id[:8]}"
    assert containers(f"jido.session={spec.session_id}") == [name]
    facts = inspect(name)
    host, config = facts["HostConfig"], facts["Config"]
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert host["CapAdd"] is None
    assert host["SecurityOpt"] == ["no-new-privileges:true", f"seccomp={filter_profile()}"]
    assert (host["NetworkMode"], host["IpcMode"]) == ("none", "none")
    assert host["Memory"] == host["MemorySwap"] == LIMITS.memory_bytes
    assert (host["PidsLimit"], host["NanoCpus"]) == (LIMITS.pids, 2_000_000_000)
    assert host["LogConfig"]["Type"] == "none"
    assert host["RestartPolicy"]["Name"] == "no"
    assert host["Privileged"] is False
    assert host["PortBindings"] in ({}, None)
    assert config["User"] == ":".join(map(str, sandboxes.owner))
    assert config["WorkingDir"] == spec.project_path
    assert {mount["Source"] for mount in facts["Mounts"]} >= {spec.project_path}
    assert all(mount["Source"] == mount["Destination"] for mount in facts["Mounts"])


async def test_a_container_of_the_same_name_that_is_not_ours_is_left_alone(
    sandboxes: Sandboxes,
) -> None:
    spec = sandboxes.spec(sandboxes.project())
    name = f"jido-{spec.instance_id[:8]}-{spec.session_id[:8]}"
    docker("create", "--name", name, "--entrypoint", "true", SANDBOX_IMAGE)
    try:
        with pytest.raises(Exception, match="not ours"):
            await sandboxes.runtime.start(spec, sandboxes.socket_path(spec))
        assert inspect(name)["State"]["Status"] == "created"
    finally:
        docker("rm", "--force", name)


async def test_leftovers_of_a_dead_supervisor_are_removed(sandboxes: Sandboxes) -> None:
    spec = sandboxes.spec(sandboxes.project())
    labels = ["--label", f"jido.session={spec.session_id}"]
    labels += ["--label", f"jido.instance={sandboxes.instance_id}"]
    docker("create", *labels, "--entrypoint", "true", SANDBOX_IMAGE)
    assert sandboxes.left_behind()
    assert await sandboxes.runtime.running() == []
    assert not sandboxes.left_behind()


async def test_a_sandbox_removed_by_somebody_is_gone(sandboxes: Sandboxes) -> None:
    sandbox = await sandboxes.start()

    async def first_exit() -> str:
        async for ended in sandboxes.runtime.exits():
            return ended.reason
        return "closed"

    waiting = asyncio.create_task(first_exit())
    await asyncio.sleep(0.3)
    await asyncio.to_thread(
        docker, "rm", "--force", *containers(f"jido.session={sandbox.spec.session_id}")
    )
    assert await asyncio.wait_for(waiting, 20) in ("gone", "exited")


async def test_a_project_this_process_may_only_read_is_prepared_by_a_container(
    sandboxes: Sandboxes,
) -> None:
    require(os.getuid() == 0, "Only root can mount a project read-only for one process.")
    project = sandboxes.project()
    spec = sandboxes.spec(project)
    mount = f"mount --bind {project} {project} && mount -o remount,bind,ro {project}"
    path = str(sandboxes.base / "first.sock")
    await asyncio.to_thread(act_behind, mount, START, spec, path)
    assert (project / ".jido_code" / "settings.json").stat().st_uid == sandboxes.owner[0]
    assert (project / ".git" / "commondir").read_bytes() == b".\n"
    assert containers("jido.preparation", f"jido.instance={spec.instance_id}") == []
    assert await sandboxes.runtime.adopt(spec.session_id, sandboxes.socket_path(spec))
    sandbox = sandboxes.open(spec, sandboxes.socket_path(spec))
    assert (await sandbox.shell("echo x > .git/config")).exit_code != 0
    assert (await sandbox.shell("echo x > file")).exit_code == 0


async def test_no_engine_says_what_to_do() -> None:
    runtime = DockerRuntime(str(uuid.uuid4()), SANDBOX_IMAGE, "unix:///nowhere/engine.sock")
    try:
        with pytest.raises(RuntimeUnavailable, match="make engine"):
            await runtime.check()
    finally:
        await runtime.close()


async def test_a_missing_image_says_how_to_build_it(sandboxes: Sandboxes) -> None:
    runtime = DockerRuntime(sandboxes.instance_id, "jido-sandbox:no-such")
    try:
        with pytest.raises(ImageMissing, match="make image"):
            await runtime.check()
        spec = replace(sandboxes.spec(sandboxes.project()), image="jido-sandbox:no-such")
        with pytest.raises(ImageMissing, match="make image"):
            await runtime.start(spec, sandboxes.socket_path(spec))
        with pytest.raises(OciRuntimeMissing, match="runc"):
            await runtime.require_oci_runtime("no-such")
    finally:
        await runtime.close()
    assert not sandboxes.left_behind()
