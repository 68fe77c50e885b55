"""The command: `python -m scripts.bench [--quick] [--only NAME] [--runtime R] [--json FILE]`.

Owns the order of what is measured and that an interrupted run ends as a whole one does.
Exit codes: 0 measured, 1 something could not be measured, 130 interrupted.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx

from orchestrator.domain.errors import JidoError
from scripts.bench import (
    client,
    docker,
    memory,
    neighbour,
    resume,
    saved,
    sessions,
    tool_calls,
    turns,
)
from scripts.bench.figures import Figure
from scripts.bench.machine import Machine
from scripts.bench.programs import ProgramFailed
from scripts.bench.scene import Scene, scene
from scripts.bench.table import table

Step = Callable[[Scene], Awaitable[None]]

STEPS: dict[str, list[Step]] = {
    "stack": [sessions.start_of_the_stack],
    "memory": [memory.idle_stack, memory.idle_sandbox],
    "session": [sessions.session_ready],
    "ten": [sessions.ten_at_once],
    "tools": [tool_calls.tool_calls],
    "neighbour": [neighbour.neighbour_calls],
    "turns": [turns.prompt_to_provider, turns.chunk_to_client],
    "client": [client.client_start],
    "keys": [client.key_to_paint],
    "saved": [saved.saved_sessions, resume.resume_to_screen],
}
"""What can be named with --only, in the order in which it is measured."""

ONCE = {"turns", "client", "keys", "saved"}
"""Steps that the runtime of sandboxes makes no difference to."""

_FAILURES = (JidoError, ProgramFailed, httpx.HTTPError, RuntimeError, OSError)
_FOREIGN = re.compile(r"JIDO_.*|.*_API_KEY")
"""Variables of the person who measures; they would change what is measured."""
_MAX_WORDS = 500
"""Characters of why something could not be measured."""


def main() -> int:
    """Measure what was asked for and print it."""
    options = _options()
    for name in [name for name in os.environ if _FOREIGN.fullmatch(name)]:
        if name not in {"JIDO_SANDBOX_IMAGE", "JIDO_OCI_RUNTIME"}:
            del os.environ[name]
    machine = Machine.now()
    figures: list[Figure] = []
    failures: list[str] = []
    try:
        asyncio.run(_until_interrupted(_measure(options, figures, failures)))
    except asyncio.CancelledError:
        print("bench: interrupted; everything it started has ended.", file=sys.stderr)
        return 130
    print(machine.line(), table(figures), sep="\n\n")
    for failure in failures:
        print(f"not measured: {failure}")
    if options.json is not None:
        document = {
            "machine": machine.document(),
            "figures": [figure.document() for figure in figures],
            "failures": failures,
        }
        options.json.write_text(json.dumps(document, indent=2) + "\n")
    return 1 if failures or not figures else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m scripts.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument(
        "--only", action="append", choices=list(STEPS), help="may be given several times"
    )
    parser.add_argument("--runtime", action="append", choices=["docker", "bubblewrap"])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there too")
    return parser.parse_args()


async def _until_interrupted(work: Awaitable[None]) -> None:
    """Run `work`; Ctrl+C and SIGTERM cancel it, and its clean-up still runs to the end."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, task.cancel)
    await task


async def _measure(options: argparse.Namespace, figures: list[Figure], failures: list[str]) -> None:
    names = options.only or list(STEPS)
    runtimes = options.runtime or ["docker", "bubblewrap"]
    if "docker" in runtimes and not await docker.answers():
        failures.append("docker: no engine answers")
        runtimes = [runtime for runtime in runtimes if runtime != "docker"]
    async with _provider() as url:
        for place, runtime in enumerate(runtimes):
            wanted = [name for name in STEPS if name in names and (not place or name not in ONCE)]
            if not wanted:
                continue
            try:
                async with scene(
                    runtime,
                    quick=options.quick,
                    provider_url=url,
                    figures=figures,
                    failures=failures,
                ) as stage:
                    for name in wanted:
                        await _step(stage, name, failures)
            except _FAILURES as error:
                failures.append(f"{runtime}: {_words(error)}")


async def _step(stage: Scene, name: str, failures: list[str]) -> None:
    for step in STEPS[name]:
        print(f"measuring {step.__name__} ({stage.runtime}) …", file=sys.stderr)
        try:
            await step(stage)
        except _FAILURES as error:
            failures.append(f"{step.__name__} ({stage.runtime}): {_words(error)}")
        finally:
            if stage.runtime == "docker":
                await asyncio.shield(docker.remove_all())


def _words(error: Exception) -> str:
    words = str(getattr(error, "detail", "") or error or type(error).__name__)
    return words if len(words) <= _MAX_WORDS else f"{words[:_MAX_WORDS]} …"


@contextlib.asynccontextmanager
async def _provider() -> AsyncIterator[str]:
    """Run the measuring provider for the length of the block; gives its base URL."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "scripts.bench.provider"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        # Ctrl+C is ours to handle: it ends with its standard input.
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        port = int(await process.stdout.readline())
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.stdin.close()
        await process.wait()


if __name__ == "__main__":
    sys.exit(main())
