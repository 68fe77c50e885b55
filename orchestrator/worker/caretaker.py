"""The process that mends turns nobody runs, saves what was missed, and says workers are here.

Owns the pace of it, and the last look at unsaved sessions when the workers end. Refuses
to run turns. It is a process of its own because it needs connections and an event loop,
and whoever forks must have neither.
"""

from __future__ import annotations

import asyncio
import signal
from typing import Final

import structlog

from orchestrator.domain.errors import JidoError
from orchestrator.store.facade import Store
from orchestrator.wiring import clean_up, open_store, session_saving, turn_execution
from orchestrator.worker.announcement import announce
from orchestrator.worker.jobs import Shared

SWEEP_S: Final = 2.0
"""Seconds between two sweeps, and between two announcements."""

LAST_SAVE_S: Final = 4.0
"""Seconds of the last look at unsaved sessions; what it misses is in Redis for the next start."""

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
        await _save_the_rest(shared, store)


async def _save_the_rest(shared: Shared, store: Store) -> None:
    """Save what the last turns left behind: they have ended by now."""
    try:
        async with asyncio.timeout(LAST_SAVE_S):
            await session_saving(shared.settings, store).catch_up()
    except (JidoError, TimeoutError) as error:
        _log.warning("worker.unsaved", reason=str(error)[:300])


async def _rounds(shared: Shared, store: Store) -> None:
    execution = turn_execution(shared.settings, store, shared.models)
    saving = session_saving(shared.settings, store)
    cleaning = clean_up(shared.settings, store, saving)
    while True:
        try:
            await announce(store, shared.settings)
            await execution.sweep()
            await saving.catch_up()
            await cleaning.look()
        except JidoError as error:
            _log.warning("worker.round_failed", code=error.code, reason=error.detail)
        await asyncio.sleep(SWEEP_S)
