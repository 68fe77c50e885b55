"""Tool calls through the whole path, from a client such as a worker is.

The path is: unix socket, tool server, with nothing between them. Beside it: `docker exec` in the
same container, ripgrep run directly, and the agent library's own Docker workspace.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from orchestrator.sandboxes.channel import Channel
from orchestrator.sandboxes.tools import SandboxTools
from orchestrator.sandboxes.workspace import SandboxWorkspace
from scripts.bench import docker
from scripts.bench.clock import repeated
from scripts.bench.figures import Beside, Figure
from scripts.bench.harness import NAME, harness_calls
from scripts.bench.programs import ProgramFailed, run
from scripts.bench.scene import Scene

CONTENT = b"x" * 63 + b"\n"
KILOBYTE = CONTENT * 16
FILES = 5000
"""Files of the tree that is searched."""
NEEDLE = "needle_in_the_tree"
GREP_RATIO = 1.2

Call = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Measured:
    """One kind of call and what it may take."""

    name: str
    call: Call
    bare: list[str]
    """The same inside the container by `docker exec`."""
    at_most: float | None
    """Milliseconds; None where only a ratio is wanted."""
    stdin: bytes = b""
    harness: str = ""
    """Its name among the calls of the agent library's workspace; '' where that has no such call."""


async def tool_calls(scene: Scene) -> None:
    """Measure all kinds on one session."""
    project = scene.project()
    plant(project)
    async with scene.session(project) as session:
        path = str(scene.settings.channel_path(session["id"]))
        channel = await Channel.connect(path)
        workspace = SandboxWorkspace(path, session["id"])
        try:
            kinds = _kinds(SandboxTools(channel), workspace)
            container = None
            if scene.runtime == "docker":
                container = await docker.container_of(session["id"])
            await _measure(scene, project, kinds, container)
        finally:
            await workspace.aclose()
            await channel.aclose()


def plant(project: Path) -> None:
    """Make the file that is read and the tree that is searched."""
    (project / "kilobyte.txt").write_bytes(KILOBYTE)
    for number in range(FILES):
        directory = project / "tree" / f"d{number % 50:02}"
        directory.mkdir(parents=True, exist_ok=True)
        words = "".join(f"def function_{number}_{line}(): pass\n" for line in range(20))
        last = f"# {NEEDLE}\n" if number % 250 == 0 else ""
        (directory / f"f{number:04}.py").write_text(words + last)


def _kinds(tools: SandboxTools, workspace: SandboxWorkspace) -> list[Measured]:
    grep = ["rg", "--line-number", NEEDLE, "tree"]
    return [
        Measured(
            "read 1 KB",
            lambda: workspace.read_bytes("kilobyte.txt"),
            ["cat", "kilobyte.txt"],
            0.6,
            harness="read",
        ),
        Measured(
            "write 1 KB",
            lambda: workspace.write_bytes("written.txt", KILOBYTE),
            ["sh", "-c", "cat > written.txt"],
            1.0,
            KILOBYTE,
            harness="write",
        ),
        Measured(
            "command `true`", lambda: workspace.run(["true"]), ["true"], 2.0, harness="command"
        ),
        Measured(
            "Lua `return 1`", lambda: tools.run_lua("return 1"), ["lua5.4", "-e", "return 1"], 0.6
        ),
        Measured(
            f"grep {FILES} files",
            lambda: tools.grep(NEEDLE, path="tree"),
            grep,
            None,
            harness="grep",
        ),
    ]


async def _measure(
    scene: Scene, project: Path, kinds: list[Measured], container: str | None
) -> None:
    own = {}
    for kind in kinds:
        slow = kind.at_most is None
        rounds = scene.rounds(40, 10) if slow else scene.rounds(500, 100)
        own[kind.name] = await repeated(rounds, kind.call, warm_up=3)
    beside: dict[str, list[Beside]] = {kind.name: [] for kind in kinds}
    direct = await _direct_grep(scene, project)
    if direct is not None:
        beside[kinds[-1].name].append(direct)
    if container is not None:
        echoes = await docker.echoes(container, scene.rounds(500, 100))
        beside[kinds[0].name].append(Beside("1 KB by open docker exec", echoes))
        for kind in kinds:
            beside[kind.name].append(await _bare(scene, kind, container))
        await _beside_harness(scene, project, kinds, beside)
    for kind in kinds:
        figure = Figure(f"{kind.name} ({scene.runtime})", own[kind.name], at_most=kind.at_most)
        figure.beside = beside[kind.name]
        scene.figures.append(figure)


async def _beside_harness(
    scene: Scene, project: Path, kinds: list[Measured], beside: dict[str, list[Beside]]
) -> None:
    grep = next(kind.bare for kind in kinds if kind.harness == "grep")
    try:
        calls = await harness_calls(scene, project, grep)
    except ProgramFailed as error:
        scene.failures.append(str(error))
        return
    for kind in kinds:
        if kind.harness:
            beside[kind.name].append(Beside(NAME, calls[kind.harness]))


async def _bare(scene: Scene, kind: Measured, container: str) -> Beside:
    options = ["--interactive"] if kind.stdin else []
    words = ["docker", "exec", *options, container, *kind.bare]
    times = await repeated(scene.rounds(10, 2), lambda: run(words, kind.stdin))
    return Beside("docker exec", times)


async def _direct_grep(scene: Scene, project: Path) -> Beside | None:
    """Run ripgrep itself on the same tree; None where there is none."""
    beside_python = Path(sys.executable).parent / "rg"
    program = str(beside_python) if os.access(beside_python, os.X_OK) else shutil.which("rg")
    if program is None:
        return None
    words = [program, "--line-number", NEEDLE, str(project / "tree")]
    times = await repeated(scene.rounds(40, 10), lambda: run(words), warm_up=3)
    return Beside("rg directly", times, GREP_RATIO)
