"""The process that mends turns nobody runs, and says that workers are here.

Owns the pace of both. Refuses to run turns. It is a process of its own because
it needs connections and an event loop, and whoever forks must have neither.
"""

from __future__ import annotations

import asyncio
import signal
from typing import Final

import structlog

from orchestrator.domain.errors import JidoError
from orchestrator.store.facade import Store
from orchestrator.wiring import open_store, turn_execution
from orchestrator.worker.announcement import announce
from orchestrator.worker.jobs import Shared

SWEEP_S: Final = 2.0
"""Seconds between two sweeps, and between two announcements."""

_log = structlog.get_logger(__name__)


def care(shared: Shared) -> None:
    """Sweep and announce until told to stop."""
    asyncio.run(_care(shared))


async def _care(shared: Shared) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with open_store(shared.settings) as store:
        rounds = asyncio.create_task(_rounds(shared, store))
        ended = asyncio.create_task(stopped.wait())
        await asyncio.wait({rounds, ended}, return_when=asyncio.FIRST_COMPLETED)
        for task in (rounds, ended):
            task.cancel()
        await asyncio.gather(rounds, ended, return_exceptions=True)


async def _rounds(shared: Shared, store: Store) -> None:
    execution = turn_execution(shared.settings, store, shared.models)
    while True:
        try:
            await announce(store, shared.settings)
            await execution.sweep()
        except JidoError as error:
            _log.warning("worker.round_failed", code=error.code, reason=error.detail)
        await asyncio.sleep(SWEEP_S)
