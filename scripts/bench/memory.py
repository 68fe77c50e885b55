"""What the idle stack and an idle sandbox hold in memory.

The stack is counted by proportional set size: a page that several processes share counts
once. A sandbox is counted as the engine counts it.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from scripts.bench import docker
from scripts.bench.figures import Figure
from scripts.bench.scene import Scene

STACK_MIB = 350.0
SANDBOX_MIB = 20.0
SETTLE_S = 4.0
"""Seconds after which a stack that was just started counts as idle."""
_PARTS = {"supervise": "supervisor", "work": "worker", "serve": "api"}


async def idle_stack(scene: Scene) -> None:
    """Report the whole stack and each of its parts."""
    await asyncio.sleep(SETTLE_S)
    assert scene.lease.own is not None
    parts = await asyncio.to_thread(_parts, scene.lease.own.process.pid)
    total = sum(sum(sizes) for sizes in parts.values())
    scene.figures.append(
        Figure(f"idle stack, PSS ({scene.runtime})", [total], "MiB", at_most=STACK_MIB)
    )
    for name, sizes in sorted(parts.items()):
        note = f"{len(sizes)} processes" if len(sizes) > 1 else ""
        scene.figures.append(Figure(f"  {name}", [sum(sizes)], "MiB", note=note))


async def idle_sandbox(scene: Scene) -> None:
    """Report a sandbox in which nothing has been done yet."""
    if scene.runtime != "docker":
        return
    async with scene.session() as session:
        await asyncio.sleep(1)
        container = await docker.container_of(session["id"])
        used = [await docker.memory_mib(container) for _ in range(scene.rounds(3, 1))]
    scene.figures.append(
        Figure("idle sandbox, docker stats", used, "MiB", at_most=SANDBOX_MIB)
    )  # fmt: skip


def _parts(parent: int) -> dict[str, list[float]]:
    """Return the sizes in MiB of a stack's processes by the part they belong to."""
    parts = {"stack": [_pss_mib(parent)]}
    for child in _children(parent):
        words = Path(f"/proc/{child}/cmdline").read_bytes().decode().split("\0")
        name = next((part for word, part in _PARTS.items() if word in words), "valkey")
        parts[name] = [_pss_mib(pid) for pid in [child, *_descendants(child)]]
    return parts


def _descendants(pid: int) -> list[int]:
    return [each for child in _children(pid) for each in (child, *_descendants(child))]


def _children(parent: int) -> list[int]:
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdecimal():
            continue
        try:
            stat = Path(f"/proc/{entry}/stat").read_text(errors="replace")
        except OSError:
            continue
        if int(stat.rpartition(")")[2].split()[1]) == parent:
            found.append(int(entry))
    return found


def _pss_mib(pid: int) -> float:
    """Return the proportional set size of a process; 0 when it has just ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), 0.0)
