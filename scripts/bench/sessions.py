"""How long a session takes to be ready, alone and ten at once.

Beside it: a bare `docker run` of the same image with the same flags, until its first output,
in turns with the sessions so that both see the same machine.
"""

from __future__ import annotations

import asyncio
import time

from scripts.bench import docker
from scripts.bench.clock import since
from scripts.bench.figures import Beside, Figure
from scripts.bench.harness import NAME, harness_start
from scripts.bench.programs import ProgramFailed, until_first_output
from scripts.bench.scene import Scene

TARGET_MS = 2 * 164.0
TARGET_RATIO = 1.5
AT_ONCE = 10
_SAY = ["--", "/bin/echo", "ready"]


async def start_of_the_stack(scene: Scene) -> None:
    """Report how long the stack took; it is started once."""
    name = f"embedded stack ready ({scene.runtime})"
    scene.figures.append(Figure(name, [scene.started_ms]))


async def session_ready(scene: Scene) -> None:
    """Measure one session after the other."""
    own: list[float] = []
    bare: list[float] = []
    command = None
    if scene.runtime == "docker":
        command = await docker.bare_run(scene.settings, scene.project(), _SAY)
        await until_first_output(command)
    for number in range(1 + scene.rounds(12, 3)):
        project = scene.project()
        start = time.perf_counter()
        session = await scene.open_session(project)
        elapsed = since(start)
        await scene.close_session(session)
        if number:
            # The first one finds cold caches.
            own.append(elapsed)
        if command is not None:
            bare.append(await until_first_output(command))
    beside = [Beside("docker run, first output", bare, TARGET_RATIO)] if bare else []
    if scene.runtime == "docker":
        try:
            library = [await harness_start(scene) for _ in range(scene.rounds(4, 1))]
            beside.append(Beside(f"{NAME}, first command", library))
        except ProgramFailed as error:
            scene.failures.append(str(error))
    name = f"session ready ({scene.runtime})"
    scene.figures.append(Figure(name, own, at_most=TARGET_MS, beside=beside))


async def ten_at_once(scene: Scene) -> None:
    """Measure until the last of ten sessions that were asked for together is ready."""
    own: list[float] = []
    bare: list[float] = []
    for _ in range(scene.rounds(3, 1)):
        projects = [scene.project() for _ in range(AT_ONCE)]
        start = time.perf_counter()
        sessions = await asyncio.gather(*(scene.open_session(each) for each in projects))
        own.append(since(start))
        await asyncio.gather(*(scene.close_session(each) for each in sessions))
        if scene.runtime == "docker":
            commands = [await docker.bare_run(scene.settings, each, _SAY) for each in projects]
            times = await asyncio.gather(*(until_first_output(each) for each in commands))
            bare.append(max(times))
    beside = [Beside("10 docker run at once", bare)] if bare else []
    name = f"{AT_ONCE} sessions at once, last ready ({scene.runtime})"
    scene.figures.append(Figure(name, own, beside=beside))
