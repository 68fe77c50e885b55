"""What workers say of themselves: that they are here, and which providers they can use.

Owns the words and how long they hold. Refuses the agent's libraries: they take a second to
load, and a first session need not wait for them, only its first turn.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import Any, Final

import structlog

from orchestrator import __version__
from orchestrator.agent.keys import availability
from orchestrator.domain.errors import JidoError
from orchestrator.services.model_choice import WORKER
from orchestrator.settings import Settings
from orchestrator.store.facade import Store
from orchestrator.wiring import open_store

PRESENCE_S: Final = 8.0
"""Seconds for which an announcement holds; a worker that dies is missed after that."""

_log = structlog.get_logger(__name__)


def announcement(settings: Settings, environment: Mapping[str, str]) -> dict[str, Any]:
    """Return what is said; names of providers, never a key."""
    available = availability(settings, environment)
    return {
        "version": __version__,
        "workers": settings.worker_count,
        "providers": sorted(name for name, missing in available.items() if missing is None),
    }


async def announce(store: Store, settings: Settings) -> None:
    """Say it once."""
    await store.presence.announce(WORKER, announcement(settings, os.environ), PRESENCE_S)


def announce_early(settings: Settings) -> None:
    """Say it before anything slow is loaded; a store that does not answer is told later."""
    asyncio.run(_announce_early(settings))


async def _announce_early(settings: Settings) -> None:
    try:
        async with open_store(settings) as store:
            await announce(store, settings)
    except JidoError as error:
        _log.info("worker.not_announced_yet", code=error.code)
