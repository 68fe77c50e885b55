"""What the idle stack and an idle sandbox hold in memory.

The stack is counted by proportional set size: a page that several processes share counts
once. A sandbox is counted as the engine counts it.
"""

from __future__ import annotations

import asyncio

from scripts.bench import docker
from scripts.bench.figures import Beside, Figure
from scripts.bench.harness import NAME, harness_memory
from scripts.bench.processes import parts, pss_mib
from scripts.bench.programs import ProgramFailed, run
from scripts.bench.scene import Scene

STACK_MIB = 350.0
SANDBOX_MIB = 20.0
SETTLE_S = 4.0
"""Seconds after which a stack that was just started counts as idle."""


async def idle_stack(scene: Scene) -> None:
    """Report the whole stack and each of its parts."""
    await asyncio.sleep(SETTLE_S)
    sizes = {name: [pss_mib(pid) for pid in pids] for name, pids in parts(scene.stack_pid).items()}
    total = sum(sum(each) for each in sizes.values())
    scene.figures.append(
        Figure(f"idle stack, PSS ({scene.runtime})", [total], "MiB", at_most=STACK_MIB)
    )
    for name, each in sorted(sizes.items()):
        note = f"{len(each)} processes" if len(each) > 1 else ""
        scene.figures.append(Figure(f"  {name}", [sum(each)], "MiB", note=note))


async def idle_sandbox(scene: Scene) -> None:
    """Report a sandbox in which nothing has been done yet."""
    if scene.runtime != "docker":
        return
    async with scene.session() as session:
        await asyncio.sleep(1)
        container = await docker.container_of(session["id"])
        used = [await docker.memory_mib(container) for _ in range(scene.rounds(3, 1))]
    figure = Figure("idle sandbox, docker stats", used, "MiB", at_most=SANDBOX_MIB)
    figure.beside.append(Beside("docker run sleep", [await _bare(scene)]))
    try:
        figure.beside.append(Beside(NAME, [await harness_memory(scene)]))
    except ProgramFailed as error:
        scene.failures.append(str(error))
    scene.figures.append(figure)


async def _bare(scene: Scene) -> float:
    """Return what a container of the same image and flags holds that only sleeps."""
    command = await docker.bare_run(scene.settings, scene.project(), ["--", "/bin/sleep", "60"])
    command.insert(command.index("--rm"), "--detach")
    try:
        name = (await run(command)).strip()
        await asyncio.sleep(1)
        return await docker.memory_mib(name)
    finally:
        await docker.remove_all()
