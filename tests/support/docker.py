"""What tests ask a Docker engine, through its own client and not through ours."""

from __future__ import annotations

import json
import subprocess
from typing import Any


def docker(*words: str, check: bool = True) -> str:
    """Run the docker client and return its standard output."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=check)
    return done.stdout


def containers(*labels: str) -> list[str]:
    """Names of containers, dead ones included, that carry all labels."""
    filters = [word for label in labels for word in ("--filter", f"label={label}")]
    return docker("ps", "--all", "--format", "{{.Names}}", *filters).split()


def inspect(name: str) -> dict[str, Any]:
    """What the engine knows of a container."""
    found: list[dict[str, Any]] = json.loads(docker("inspect", name))
    return found[0]


def remove(names: list[str]) -> None:
    """Remove containers of a test that failed to."""
    if names:
        docker("rm", "--force", *names, check=False)
