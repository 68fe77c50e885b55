"""What goes on beside a running turn: its lease, its deadline, a cancel.

Owns the three reasons for which a turn is stopped from outside. Refuses to end
the turn itself: it asks, the agent obeys.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import structlog

from orchestrator.agent.request import StopSignal
from orchestrator.domain.errors import StoreUnavailable
from orchestrator.domain.limits import LEASE_RENEWAL_S
from orchestrator.store import keys
from orchestrator.store.facade import Store

CANCEL_CHECK_S: Final = 5.0
"""Seconds after which a cancel is noticed even when its signal was lost."""

_log = structlog.get_logger(__name__)


class TurnWatch:
    """Watches one turn while it runs."""

    def __init__(self, store: Store, session_id: str, turn_id: str, worker_id: str) -> None:
        """Prepare to watch; `running` does it."""
        self._store = store
        self._session_id = session_id
        self._turn_id = turn_id
        self._worker_id = worker_id
        self.lost = False
        """Whether somebody else may have the turn by now: nothing more may be written."""
        self.timed_out = False
        """Whether the turn was stopped because its time was up."""

    @asynccontextmanager
    async def running(self, stop: StopSignal, timeout_s: float) -> AsyncIterator[None]:
        """Watch for the length of the block; `timeout_s` seconds, then the turn is stopped."""
        tasks = [
            asyncio.create_task(self._renew(stop)),
            asyncio.create_task(self._await_cancel(stop)),
            asyncio.create_task(self._await_deadline(stop, timeout_s)),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _renew(self, stop: StopSignal) -> None:
        while True:
            await asyncio.sleep(LEASE_RENEWAL_S)
            try:
                held = await self._store.leases.renew(self._turn_id, self._worker_id)
            except StoreUnavailable as error:
                _log.warning("turn.lease_not_renewed", turn=self._turn_id, reason=error.detail)
                continue
            if not held:
                _log.warning("turn.lease_lost", turn=self._turn_id)
                self.lost = True
                stop.ask("interrupted")
                return

    async def _await_cancel(self, stop: StopSignal) -> None:
        with self._store.signals.watch(keys.turn_topic(self._turn_id)) as watch:
            while True:
                try:
                    if await self._store.turns.is_cancel_requested(self._session_id, self._turn_id):
                        stop.ask("cancelled")
                        return
                except StoreUnavailable as error:
                    _log.warning("turn.cancel_unknown", turn=self._turn_id, reason=error.detail)
                await watch.wait(CANCEL_CHECK_S)

    async def _await_deadline(self, stop: StopSignal, timeout_s: float) -> None:
        await asyncio.sleep(timeout_s)
        self.timed_out = True
        stop.ask("interrupted")
