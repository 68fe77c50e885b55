"""Tool calls of a session while another one does everything wrong at once.

Owns the comparison: the same calls of the same session, alone and beside the noise of `noise`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator

from orchestrator.sandboxes.channel import Channel
from orchestrator.sandboxes.workspace import SandboxWorkspace
from scripts.bench.clock import timed
from scripts.bench.figures import Beside, Figure, percentile
from scripts.bench.scene import Scene
from scripts.bench.tool_calls import KILOBYTE, Call

TARGET_MS = 20.0
SETTLE_S = 1.0
"""Seconds of noise before the first measured call."""


async def neighbour_calls(scene: Scene) -> None:
    """Measure reading, writing, listing and running, alone and beside a noisy session."""
    async with scene.session() as quiet, scene.session() as noisy:
        path = str(scene.settings.channel_path(quiet["id"]))
        channel = await Channel.connect(path)
        workspace = SandboxWorkspace(path, quiet["id"])
        try:
            await workspace.write_bytes("kilobyte.txt", KILOBYTE)
            calls = _calls(workspace)
            rounds = scene.rounds(200, 60)
            alone = await _measured(calls, rounds)
            noise_path = str(scene.settings.channel_path(noisy["id"]))
            async with _noise(noise_path, scene.rounds(20, 8)) as ended:
                beside = await _measured(calls, rounds)
            outcomes = await ended
        finally:
            await workspace.aclose()
            await channel.aclose()
    _report(scene, alone, beside, outcomes)


def _calls(workspace: SandboxWorkspace) -> dict[str, Call]:
    return {
        "read 1 KB": lambda: workspace.read_bytes("kilobyte.txt"),
        "write 1 KB": lambda: workspace.write_bytes("written.txt", KILOBYTE),
        "list": lambda: workspace.list_dir("."),
        "command `true`": lambda: workspace.run(["true"]),
    }


async def _measured(calls: dict[str, Call], rounds: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            times[name].append(await timed(call))
    return times


@contextlib.asynccontextmanager
async def _noise(path: str, seconds: float) -> AsyncIterator[asyncio.Future[str]]:
    """Make noise in the sandbox at `path` for the length of the block, and say how it ended."""
    ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "scripts.bench.noise", path, str(seconds)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        if await process.stdout.readline() != b"loud\n":
            raise RuntimeError("the noisy session was not noisy")
        await asyncio.sleep(SETTLE_S)
        yield ended
        outcomes = json.loads(await process.stdout.read())
        ended.set_result(
            ", ".join(f"{name}: {','.join(sorted(set(each)))}" for name, each in outcomes.items())
        )
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await process.wait()


def _report(
    scene: Scene, alone: dict[str, list[float]], beside: dict[str, list[float]], outcomes: str
) -> None:
    together = [each for times in beside.values() for each in times]
    before = [each for times in alone.values() for each in times]
    figure = Figure(f"tool calls beside a noisy session ({scene.runtime})", together)
    figure.at_most, figure.held = TARGET_MS, "p95"
    figure.beside = [Beside("the same alone", before)]
    figure.note = f"p95 alone {percentile(before, 0.95):.2f}; noise ended: {outcomes}"
    scene.figures.append(figure)
    for name, times in beside.items():
        part = Figure(f"  {name}", times, beside=[Beside("alone", alone[name])])
        part.note = f"p95 alone {percentile(alone[name], 0.95):.2f}"
        scene.figures.append(part)
