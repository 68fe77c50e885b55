"""The agent library's own Docker workspace, on the same image, for comparison.

Owns its container and removes it. Where it cannot run, there is simply no such figure.
"""

from __future__ import annotations

import os

from pydantic_ai.workspaces import Workspace, WorkspaceError
from pydantic_ai_harness.docker_sandbox import DockerSandboxBackend

from scripts.bench import docker
from scripts.bench.clock import repeated
from scripts.bench.scene import Scene


async def harness_calls(scene: Scene, content: bytes) -> dict[str, list[float]]:
    """Return the milliseconds of each kind of call, by its name; empty where it cannot run."""
    project = scene.project()
    (project / "kilobyte.txt").write_bytes(content)
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
    workspace = Workspace(backend)
    rounds = scene.rounds(6, 3)
    try:
        return {
            "command `true`": await repeated(rounds, lambda: workspace.run(["true"])),
            "read 1 KB": await repeated(rounds, lambda: workspace.read_bytes("kilobyte.txt")),
            "write 1 KB": await repeated(
                rounds, lambda: workspace.write_bytes("written.txt", content)
            ),
        }
    except (WorkspaceError, OSError):
        return {}
    finally:
        await docker.remove_all()
