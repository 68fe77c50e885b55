"""The agent library's own Docker workspace, on the same image, for comparison.

Owns its containers and removes them. Where it cannot run, the run says so: a comparison that is
silently absent would look like one that was won.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

from pydantic_ai.workspaces import Workspace, WorkspaceError
from pydantic_ai_harness.docker_sandbox import DockerSandboxBackend

from scripts.bench import docker
from scripts.bench.clock import repeated, timed
from scripts.bench.programs import ProgramFailed, run
from scripts.bench.scene import Scene

NAME = "harness docker_sandbox"
"""How it is called in the table."""


async def harness_start(scene: Scene) -> float:
    """Return the milliseconds from nothing to the end of its first command; raises ProgramFailed.

    There is no other sign of it that it is ready.
    """
    async with _workspace(scene, scene.project()) as workspace:
        return await timed(lambda: workspace.run(["true"]))


async def harness_memory(scene: Scene) -> float:
    """Return what one of its containers holds, in MiB, when idle; raises ProgramFailed."""
    async with _workspace(scene, scene.project()) as workspace:
        await workspace.run(["true"])
        words = ["docker", "ps", "--quiet", "--filter", f"label={docker.LABEL}"]
        names = (await run(words)).split()
        if len(names) != 1:
            raise ProgramFailed(f"{NAME}: {len(names)} containers")
        return await docker.memory_mib(names[0])


async def harness_calls(scene: Scene, project: Path, grep: list[str]) -> dict[str, list[float]]:
    """Return the milliseconds of each kind of call, by its name; raises ProgramFailed."""
    content = (project / "kilobyte.txt").read_bytes()
    rounds = scene.rounds(6, 2)
    async with _workspace(scene, project) as workspace:
        return {
            "command": await repeated(rounds, lambda: workspace.run(["true"])),
            "read": await repeated(rounds, lambda: workspace.read_bytes("kilobyte.txt")),
            "write": await repeated(rounds, lambda: workspace.write_bytes("other.txt", content)),
            "grep": await repeated(rounds, lambda: workspace.run(grep)),
        }


@contextlib.asynccontextmanager
async def _workspace(scene: Scene, project: Path) -> AsyncIterator[Workspace]:
    backend = DockerSandboxBackend(
        image=scene.settings.sandbox_image,
        working_dir=str(project),
        allow_internet_access=False,
        docker_args=[
            "--label",
            docker.LABEL,
            "--user",
            f"{os.getuid()}:{os.getgid()}",
            "--mount",
            f"type=bind,source={project},target={project}",
        ],
    )
    try:
        yield Workspace(backend)
    except (WorkspaceError, OSError) as error:
        raise ProgramFailed(f"{NAME}: {error}") from error
    finally:
        await docker.remove_all()
