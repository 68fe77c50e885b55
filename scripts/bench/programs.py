"""Running a program: its output, or the moment of its first byte.

Owns that a cancelled run leaves no process. Raises ProgramFailed with what it said.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence

from scripts.bench.clock import since


class ProgramFailed(Exception):
    """A program ended with another code than 0."""


async def run(words: Sequence[str], data: bytes = b"") -> str:
    """Run a program on `data` as its standard input and return its standard output."""
    process = await asyncio.create_subprocess_exec(
        *words,
        stdin=asyncio.subprocess.PIPE if data else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, complaint = await process.communicate(data or None)
    finally:
        await _ended(process)
    if process.returncode != 0:
        raise ProgramFailed(f"{words[0]} {words[1]}: {complaint.decode(errors='replace').strip()}")
    return output.decode(errors="replace")


async def until_first_output(words: Sequence[str]) -> float:
    """Run a program to its end; return the milliseconds until its first byte of output."""
    start = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        first = await process.stdout.read(1)
        elapsed = since(start)
        _, complaint = await process.communicate()
    finally:
        await _ended(process)
    if not first:
        raise ProgramFailed(f"{words[0]}: no output. {complaint.decode(errors='replace').strip()}")
    return elapsed


async def _ended(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
