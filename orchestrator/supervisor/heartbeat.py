"""Telling the others that the supervisor lives, and what it can do.

Owns what is announced and how often. A supervisor without a runtime announces
why, so that readiness checks and new sessions can say what to do.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Final

import structlog

from orchestrator import __version__
from orchestrator.domain.errors import Unavailable
from orchestrator.services.health import SUPERVISOR
from orchestrator.store.presence import Presence
from orchestrator.supervisor.current_runtime import CurrentRuntime

INTERVAL_S: Final = 3.0
"""Seconds between announcements when nothing changes."""

LIFETIME_S: Final = 10.0
"""Seconds an announcement holds: three may be lost."""

_log = structlog.get_logger(__name__)


class Heartbeat:
    """Announces the supervisor."""

    def __init__(
        self, presence: Presence, runtime: CurrentRuntime, image: str, instance_id: str
    ) -> None:
        """Announce over `presence` what `runtime` can do; `image` is that of new sandboxes."""
        self._presence = presence
        self._runtime = runtime
        self._image = image
        self._instance_id = instance_id

    async def run(self) -> None:
        """Announce now, at each change and every three seconds, until cancelled."""
        await self._runtime.tried.wait()
        try:
            while True:
                self._runtime.changed.clear()
                try:
                    await self._presence.announce(SUPERVISOR, self.data(), LIFETIME_S)
                except Unavailable as error:
                    _log.warning("heartbeat.lost", detail=error.detail)
                with suppress(TimeoutError):
                    async with asyncio.timeout(INTERVAL_S):
                        await self._runtime.changed.wait()
        finally:
            await self._withdraw()

    def data(self) -> dict[str, Any]:
        """Return what is announced; `error` is None while sandboxes can be started."""
        error = self._runtime.error
        return {
            "runtime": self._runtime.name or None,
            "image": self._image,
            "version": __version__,
            "instance_id": self._instance_id,
            "error": error.detail if error else None,
            "error_code": error.code if error else None,
        }

    async def _withdraw(self) -> None:
        with suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(1.0):
                await self._presence.withdraw(SUPERVISOR)
