"""Another process that acts on sandboxes, to which a mount shows other files than to the tests."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict

from orchestrator.sandboxes.runtime import SandboxSpec

_MAIN = """
import asyncio, json, sys
from orchestrator.sandboxes.docker import DockerRuntime
from orchestrator.sandboxes.runtime import SandboxLimits, SandboxSpec
from orchestrator.sandboxes.workspace import SandboxWorkspace

async def main():
    fields = json.loads(sys.argv[1])
    limits = SandboxLimits(*fields.pop("limits"))
    spec = SandboxSpec(**fields, limits=limits)
    runtime = DockerRuntime(spec.instance_id, spec.image)
    try:
        await act(runtime, spec, sys.argv[2])
    finally:
        await runtime.close()

asyncio.run(main())
"""


def act_behind(mount: str, act: str, spec: SandboxSpec, socket_path: str) -> str:
    """Run the coroutine `act(runtime, spec, path)` where `mount` was done; returns its output.

    `act` is the text of a function, `mount` a shell command that only that process sees.
    """
    fields = asdict(spec)
    fields["limits"] = list(fields["limits"].values())
    words = [sys.executable, "-c", act + _MAIN, json.dumps(fields), socket_path]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", f'{mount} && exec "$@"', "sh", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
