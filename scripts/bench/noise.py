"""A session that does everything wrong at once: `python -m scripts.bench.noise SOCKET SECONDS`.

Owns five noises and how each of them ended: a fork bomb, a memory hog, a sparse file of 10 GB,
endless output and an endless Lua loop. A process of its own, so that reading its output takes no
time from whoever measures a neighbour. Prints `loud` once all of them are made, and in the end how
they ended as one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from orchestrator.sandboxes.channel import Channel
from orchestrator.sandboxes.errors import ToolError
from orchestrator.sandboxes.tools import SandboxTools

FORK_BOMB = """
import os
while True:
    try:
        os.fork()
    except OSError:
        pass
"""
MEMORY_HOG = """
kept = []
while True:
    kept.append(bytearray(64 * 1024 * 1024))
"""
SPARSE_BYTES = 10_000_000_000
GRACE_S = 60.0
"""Seconds that ending a noise may take on a machine that is full of it."""

Outcomes = dict[str, list[str]]
"""How each noise ended, every time it was made: an exit code, or the code of an error."""


async def make_noise(
    path: str, seconds: float, loud: Callable[[], None] = lambda: None
) -> Outcomes:
    """Make all noises for some seconds in the sandbox at `path`; `loud` is called when all are."""
    outcomes: Outcomes = {}
    async with await Channel.connect(path, GRACE_S) as channel:
        patience = time.monotonic() + GRACE_S
        await _note(outcomes, "sparse file", lambda: _run(channel, _sparse(), patience))
        # Once alone, because on a busy machine it would meet its limit too late beside the others.
        await _note(outcomes, "memory hog", lambda: _run(channel, _python(MEMORY_HOG), patience))
        # The interpreter is there before the bomb leaves no room for it.
        await SandboxTools(channel).run_lua("return 1", GRACE_S)
        until = time.monotonic() + seconds
        heard = asyncio.Event()
        noises = {
            "endless output": lambda: _output(channel, until, heard),
            "memory hog": lambda: _run(channel, _python(MEMORY_HOG), until),
            "endless Lua": lambda: _lua(channel, until),
            "fork bomb": lambda: _run(channel, _python(FORK_BOMB), until),
        }
        running = []
        for name, noise in noises.items():
            running.append(asyncio.create_task(_again_and_again(outcomes, name, noise, until)))
            await heard.wait()
        loud()
        await asyncio.gather(*running)
    return outcomes


def _python(program: str) -> list[str]:
    return ["python3", "-c", program]


def _sparse() -> list[str]:
    return ["truncate", "--size", str(SPARSE_BYTES), "sparse"]


async def _again_and_again(
    outcomes: Outcomes,
    name: str,
    noise: Callable[[], Awaitable[str]],
    until: float,
) -> None:
    while time.monotonic() < until - 0.5:
        await _note(outcomes, name, noise)
        await asyncio.sleep(0.1)


async def _note(outcomes: Outcomes, name: str, noise: Callable[[], Awaitable[str]]) -> None:
    try:
        ended = await noise()
    except ToolError as error:
        ended = error.wire_code
    outcomes.setdefault(name, []).append(ended)


def _left(until: float) -> float:
    return max(0.5, until - time.monotonic())


async def _run(channel: Channel, command: list[str], until: float) -> str:
    left = _left(until)
    arguments: dict[str, Any] = {"command": command, "timeout_s": left}
    reply = await channel.request("run", arguments, timeout_s=left + GRACE_S)
    return str(reply.result["exit_code"])


async def _output(channel: Channel, until: float, heard: asyncio.Event) -> str:
    left = _left(until)

    def hear(_name: str, _data: bytes) -> None:
        heard.set()

    arguments = {"command": ["yes"], "timeout_s": left, "stream": True, "keep_bytes": 0}
    reply = await channel.stream("run", arguments, hear, timeout_s=left + GRACE_S)
    return str(reply.result["exit_code"])


async def _lua(channel: Channel, until: float) -> str:
    result = await SandboxTools(channel).run_lua("while true do end", _left(until))
    return result.error_code or "ok"


def main() -> int:
    """Make noise as the command line says."""
    path, seconds = sys.argv[1], float(sys.argv[2])
    outcomes = asyncio.run(make_noise(path, seconds, lambda: print("loud", flush=True)))
    print(json.dumps(outcomes), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
