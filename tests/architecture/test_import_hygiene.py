"""What a process really loads, asked of a fresh interpreter.

Import contracts see which module may name which; only a running interpreter
shows what comes along, and each process must stay without what it has no use for:
it costs memory and start time, and what is not loaded cannot be reached.
"""

from __future__ import annotations

import subprocess
import sys
from functools import cache

import pytest

from tests.architecture.source_files import ROOT

AGENT = ("pydantic_ai", "pydantic_ai_harness", "anthropic", "openai", "google.genai")
ENGINE = ("docker",)
SERVER = ("fastapi", "starlette", "uvicorn")
QUEUE = ("rq",)
SCREEN = ("textual",)
STORE = ("redis",)

FORBIDDEN = {
    "tui.app": (*AGENT, *ENGINE, *SERVER, *QUEUE, *STORE),
    "orchestrator.api.app": (*AGENT, *ENGINE, *SCREEN),
    "orchestrator.supervisor.main": (*AGENT, *SERVER, *SCREEN),
    "orchestrator.worker.pool": (*ENGINE, *SERVER, *SCREEN),
    "orchestrator.cli.main": (*AGENT, *ENGINE, *SERVER, *QUEUE, *SCREEN, *STORE),
    "orchestrator.domain.errors": (*AGENT, *ENGINE, *SERVER, *QUEUE, *SCREEN, *STORE),
    "orchestrator.wiring": (*AGENT, *ENGINE, *SERVER, *SCREEN),
}


@cache
def _loaded(module: str) -> frozenset[str]:
    program = f"import sys, {module}; sys.stdout.write('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return frozenset(done.stdout.split())


@pytest.mark.parametrize("module", FORBIDDEN)
def test_a_process_loads_only_what_it_uses(module: str) -> None:
    assert not _loaded(module) & set(FORBIDDEN[module])


@pytest.mark.parametrize(
    ("module", "library"),
    [
        ("tui.app", "textual"),
        ("orchestrator.api.app", "fastapi"),
        ("orchestrator.supervisor.main", "redis"),
        ("orchestrator.sandboxes.docker", "docker"),
        ("orchestrator.agent.turn", "pydantic_ai"),
    ],
)
def test_the_check_sees_what_is_loaded(module: str, library: str) -> None:
    """The control: the same look finds a library where it belongs."""
    assert library in _loaded(module)


def test_the_tool_server_loads_only_the_standard_library() -> None:
    loaded = _loaded("sandbox_image.toolserver.server")
    ours = {name for name in loaded if name.split(".")[0] in ("orchestrator", "tui")}
    foreign = {"pydantic", "redis", "docker", "structlog", "httpx"}
    assert not ours
    assert not loaded & foreign
