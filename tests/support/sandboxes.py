"""Sandboxes of either runtime for a test, on projects of an ordinary owner, and their clean-up."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic_ai.workspaces import CommandResult, WorkspaceUnavailableError

from orchestrator.sandboxes import cgroups
from orchestrator.sandboxes.bubblewrap import BubblewrapRuntime
from orchestrator.sandboxes.docker import DockerRuntime
from orchestrator.sandboxes.runtime import SandboxLimits, SandboxRuntime, SandboxSpec
from orchestrator.sandboxes.workspace import SandboxWorkspace
from tests.support.docker import containers, remove
from tests.support.requirements import SANDBOX_IMAGE

LIMITS = SandboxLimits(512 * 1024 * 1024, 2.0, 256, 0, "none")


def own_groups() -> bool:
    """Whether this machine lets the tests make control groups at all."""
    group = cgroups.make(f"jido-test-{os.getpid()}", LIMITS)
    group.remove()
    return group.limited


def ordinary_owner() -> tuple[int, int]:
    """A user who is not root: somebody else when the tests run as root."""
    return (12345, 12346) if os.getuid() == 0 else (os.getuid(), os.getgid())


@dataclass(frozen=True)
class Sandbox:
    """One started sandbox."""

    spec: SandboxSpec
    socket_path: str
    workspace: SandboxWorkspace

    @property
    def project(self) -> Path:
        """The project, on the host."""
        return Path(self.spec.project_path)

    async def shell(self, script: str) -> CommandResult:
        """Run a shell script inside."""
        return await self.workspace.run(script, shell=True, timeout=60)

    async def python(self, program: str) -> CommandResult:
        """Run a Python program inside, and control it outside with the same text."""
        return await self.workspace.run(["python3", "-c", program], timeout=60)

    async def crash(self) -> None:
        """Kill the tool server from inside; the connection that asked for it ends too."""
        with suppress(WorkspaceUnavailableError):
            await self.shell("kill -9 $(pgrep -f '[t]oolserver' | tail -n 1); sleep 5")


class Sandboxes:
    """Everything one test starts on one runtime."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.instance_id = str(uuid.uuid4())
        # Open above the projects: their owner is not the user who runs the tests.
        self.base = Path(os.path.realpath(tempfile.mkdtemp(prefix="jido-sb-")))
        self.base.chmod(0o755)
        self.owner = ordinary_owner()
        self._opened: list[SandboxWorkspace] = []
        self._runtimes: list[SandboxRuntime] = []
        self.runtime = self.another_runtime()

    def another_runtime(self) -> SandboxRuntime:
        """A second process's view of the same installation."""
        runtime: SandboxRuntime
        if self.kind == "docker":
            runtime = DockerRuntime(self.instance_id, SANDBOX_IMAGE)
        else:
            runtime = BubblewrapRuntime(self.instance_id, self.base / "state")
        self._runtimes.append(runtime)
        return runtime

    def project(self, name: str = "project", *, git: bool = True) -> Path:
        """Make a project that belongs to the ordinary owner."""
        path = self.base / name
        path.mkdir()
        if git:
            subprocess.run(["git", "init", "--quiet", str(path)], check=True)
        self.give(path)
        return path

    def give(self, path: Path) -> None:
        """Make everything beneath `path` the owner's."""
        for directory, names, files in os.walk(path):
            for each in [directory, *(os.path.join(directory, name) for name in names + files)]:
                os.chown(each, *self.owner, follow_symlinks=False)

    def spec(self, project: Path, limits: SandboxLimits = LIMITS) -> SandboxSpec:
        """What a new session of a project is made of."""
        return SandboxSpec(
            str(uuid.uuid4()), self.instance_id, str(project), *self.owner, SANDBOX_IMAGE, limits
        )

    def socket_path(self, spec: SandboxSpec) -> str:
        """Where the channel of a session is served."""
        return str(self.base / f"{spec.session_id[:8]}.sock")

    async def start(
        self,
        project: Path | None = None,
        *,
        change: Callable[[SandboxSpec], SandboxSpec] = lambda spec: spec,
        limits: SandboxLimits = LIMITS,
    ) -> Sandbox:
        """Start a sandbox on a project, a new one by default."""
        spec = change(self.spec(project or self.project(), limits))
        await self.runtime.start(spec, self.socket_path(spec))
        return self.open(spec, self.socket_path(spec))

    def open(self, spec: SandboxSpec, socket_path: str) -> Sandbox:
        """Connect to a started sandbox."""
        workspace = SandboxWorkspace(socket_path, spec.session_id)
        self._opened.append(workspace)
        return Sandbox(spec, socket_path, workspace)

    def left_behind(self) -> list[str]:
        """Names of containers and processes of this test's installation that still exist."""
        if self.kind == "docker":
            return containers(f"jido.instance={self.instance_id}")
        found = subprocess.run(["ps", "-eww", "-o", "stat,args"], capture_output=True, text=True)
        return [
            line
            for line in found.stdout.splitlines()
            if str(self.base) in line and not line.startswith("Z")
        ]

    async def close(self) -> None:
        """End everything and remove the directory."""
        for workspace in self._opened:
            await workspace.aclose()
        for each in await self.runtime.running():
            await self.runtime.stop(each.session_id)
        for runtime in self._runtimes:
            await runtime.close()
        left = await asyncio.to_thread(self.left_behind)
        if self.kind == "docker":
            remove(left)
        shutil.rmtree(self.base)
        assert not left, f"left behind: {left}"


def root_owned(spec: SandboxSpec) -> SandboxSpec:
    """The same session on a project of root."""
    return replace(spec, owner_uid=0, owner_gid=0)
