"""What each child of the stack runs, and which part of our environment it sees.

Owns that a provider's key reaches the worker alone.
"""

from __future__ import annotations

import os
import re
import sys
from typing import Final

from orchestrator.local.child import Program
from orchestrator.settings import Settings

_SECRETS: Final = re.compile(
    r".*(_API_KEY|_AUTH_TOKEN|_SECRET|_SECRET_ACCESS_KEY|_PASSWORD)$|AWS_.*|GOOGLE_APPLICATION_.*"
)
"""Variables that only the worker may see; what models cost money for."""


def process_programs(settings: Settings, listener: int) -> list[Program]:
    """Return supervisor, worker and api; the api serves the listening socket `listener`."""
    everything = {**os.environ, **_shared(settings)}
    without_keys = {k: v for k, v in everything.items() if not _SECRETS.fullmatch(k)}
    logs = settings.home / "logs"

    def program(
        name: str, command: list[str], environment: dict[str, str], inherit: tuple[int, ...] = ()
    ) -> Program:
        return Program(
            name=name,
            arguments=[sys.executable, "-m", "orchestrator.cli.main", *command],
            environment=environment,
            log=logs / f"{name}.log",
            inherit=inherit,
        )

    return [
        program("supervisor", ["supervise"], without_keys),
        program("worker", ["work"], everything),
        program("api", ["serve", "--listen-fd", str(listener)], without_keys, (listener,)),
    ]


def _shared(settings: Settings) -> dict[str, str]:
    """Return what all children must agree on, whatever the sources of our own settings."""
    return {
        "JIDO_HOME": str(settings.home.absolute()),
        "JIDO_RUNTIME": settings.runtime,
        "PYTHONUNBUFFERED": "1",
        "PYTHONSAFEPATH": "1",
    }
