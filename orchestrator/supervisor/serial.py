"""One piece of work per key at a time, all keys side by side.

Owns who runs and who is asked to look again. Refuses queues: asking twice while
work is under way means one more run, so nothing here can grow beyond the keys.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

_log = structlog.get_logger(__name__)


class _Entry:
    """What is under way for one key."""

    def __init__(self) -> None:
        self.runner: asyncio.Task[None] | None = None
        self.work: asyncio.Task[None] | None = None
        self.again = True


class SerialTasks:
    """Runs `work(key)` for each key that is touched."""

    def __init__(self, work: Callable[[str], Coroutine[Any, Any, None]]) -> None:
        """Keep what to run; it handles its own failures."""
        self._work = work
        self._entries: dict[str, _Entry] = {}

    def busy(self, key: str) -> bool:
        """Say whether work on `key` is under way."""
        return key in self._entries

    def touch(self, key: str, *, interrupt: bool = False) -> None:
        """Have `key` looked at, now or once its present run has ended.

        `interrupt` cancels the present run first.
        """
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _Entry()
            entry.runner = asyncio.create_task(self._run(key, entry))
            return
        entry.again = True
        if interrupt and entry.work is not None:
            entry.work.cancel()

    async def close(self) -> None:
        """Cancel what is under way and wait for its end."""
        runners = [entry.runner for entry in self._entries.values() if entry.runner]
        for runner in runners:
            runner.cancel()
        await asyncio.gather(*runners, return_exceptions=True)

    async def _run(self, key: str, entry: _Entry) -> None:
        try:
            while entry.again:
                entry.again = False
                entry.work = asyncio.create_task(self._work(key))
                try:
                    await asyncio.wait({entry.work})
                except asyncio.CancelledError:
                    entry.work.cancel()
                    await asyncio.wait({entry.work})
                    raise
                _report(key, entry.work)
        finally:
            self._entries.pop(key, None)


def _report(key: str, work: asyncio.Task[None]) -> None:
    if not work.cancelled() and (error := work.exception()) is not None:
        _log.error("work.failed", key=key, exc_info=error)
