"""Bare Docker: `docker run` with the flags of a session's sandbox, `docker exec` in one.

Owns the translation of the product's own container description into the command's flags, so
that both sides of a comparison cannot drift apart. Raises ProgramFailed.
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

from orchestrator.domain.ids import new_id
from orchestrator.sandboxes.docker_container import (
    SESSION_LABEL,
    EngineTraits,
    session_container,
)
from orchestrator.sandboxes.mounts import prepare_as_owner
from orchestrator.sandboxes.runtime import SandboxLimits, SandboxSpec
from orchestrator.settings import Settings, parse_size
from scripts.bench.clock import repeated
from scripts.bench.programs import ProgramFailed, run

LABEL = f"jido.bench={new_id()}"
"""On every container started here, so that none is left."""


async def answers() -> bool:
    """Say whether an engine answers."""
    try:
        async with asyncio.timeout(10):
            await run(["docker", "info", "--format", "{{.ID}}"])
    except (OSError, TimeoutError, ProgramFailed):
        return False
    return True


async def bare_run(settings: Settings, project: Path, command: list[str]) -> list[str]:
    """Return a `docker run` of `command` with exactly the flags of a sandbox of `project`."""
    spec = SandboxSpec(
        session_id=new_id(),
        instance_id=new_id(),
        project_path=str(project),
        owner_uid=os.getuid(),
        owner_gid=os.getgid(),
        image=settings.sandbox_image,
        limits=SandboxLimits(
            memory_bytes=parse_size(settings.sandbox_memory),
            cpus=settings.sandbox_cpus,
            pids=settings.sandbox_pids,
            tmpfs_bytes=parse_size(settings.sandbox_tmpfs),
            network="none",
        ),
    )
    layout = await prepare_as_owner(spec)
    described = session_container(spec, layout, EngineTraits())
    flags = _flags(described, settings.home / "bench-seccomp.json")
    return ["docker", "run", "--rm", "--label", LABEL, *flags, spec.image, *command]


def _flags(described: dict[str, Any], profile: Path) -> list[str]:
    """Return the flags of a description; masked paths have none, so the engine's own are used.

    The command takes the filter of system calls from a file, `profile`.
    """
    host = described["host_config"]
    security = []
    for option in host["SecurityOpt"]:
        name, _, value = option.partition("=")
        if name == "seccomp":
            profile.write_text(value)
            option = f"seccomp={profile}"
        security.append(f"--security-opt={option}")
    flags = [
        f"--user={described['user']}",
        f"--workdir={described['working_dir']}",
        f"--hostname={described['hostname']}",
        "--entrypoint=/usr/bin/tini",
        "--no-healthcheck",
        "--read-only",
        f"--network={host['NetworkMode']}",
        f"--ipc={host['IpcMode']}",
        f"--cgroupns={host['CgroupnsMode']}",
        f"--pids-limit={host['PidsLimit']}",
        f"--memory={host['Memory']}",
        f"--memory-swap={host['MemorySwap']}",
        f"--cpus={host['NanoCpus'] / 1e9}",
        f"--log-driver={host['LogConfig']['Type']}",
    ]
    flags += [f"--cap-drop={each}" for each in host["CapDrop"]]
    flags += security
    flags += [f"--ulimit={each['Name']}={each['Soft']}:{each['Hard']}" for each in host["Ulimits"]]
    flags += [f"--tmpfs={path}:{options}" for path, options in host["Tmpfs"].items()]
    flags += [f"--env={name}={value}" for name, value in described["environment"].items()]
    flags += [word for mount in host["Mounts"] for word in ("--mount", _mount(mount))]
    return flags


def _mount(mount: dict[str, Any]) -> str:
    words = [f"type={mount['Type']}", f"source={mount['Source']}", f"target={mount['Target']}"]
    words.append(f"bind-propagation={mount['BindOptions']['Propagation']}")
    return ",".join(words + (["readonly"] if mount["ReadOnly"] else []))


async def container_of(session_id: str) -> str:
    """Return the name of a session's container."""
    filters = ["--filter", f"label={SESSION_LABEL}={session_id}"]
    names = (await run(["docker", "ps", "--format", "{{.Names}}", *filters])).split()
    if len(names) != 1:
        raise ProgramFailed(f"docker ps: {len(names)} containers of one session")
    return names[0]


async def echoes(container: str, rounds: int) -> list[float]:
    """Return the milliseconds of each line sent to and back from `cat` over one open stream."""
    process = await asyncio.create_subprocess_exec(
        *("docker", "exec", "--interactive", container, "cat"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    output = process.stdout
    try:

        async def one() -> None:
            assert process.stdin is not None
            process.stdin.write(b"x" * 1023 + b"\n")
            await output.readline()

        return await repeated(rounds, one, warm_up=3)
    finally:
        process.stdin.close()
        await process.wait()


async def memory_mib(container: str) -> float:
    """Return what `docker stats` says a container uses, in MiB."""
    words = ["docker", "stats", "--no-stream", "--format", "{{json .}}", container]
    used = json.loads(await run(words))["MemUsage"].split("/")[0].strip()
    for suffix, factor in (("GiB", 1024.0), ("MiB", 1.0), ("KiB", 1 / 1024), ("B", 1 / 1024**2)):
        if used.endswith(suffix):
            return float(used.removesuffix(suffix)) * factor
    raise ProgramFailed(f"docker stats: {used}")


async def remove_all() -> None:
    """Remove every container that was started here and still exists."""
    try:
        words = ["docker", "ps", "--all", "--quiet", "--filter", f"label={LABEL}"]
        if names := (await run(words)).split():
            await run(["docker", "rm", "--force", *names])
    except (OSError, ProgramFailed):
        return
