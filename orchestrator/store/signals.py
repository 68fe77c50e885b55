"""Signals (being built)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType


class Watch:
    """A wake-up flag for one topic; a context manager that stops watching at its end."""

    async def wait(self, timeout: float | None = None) -> bool:
        """Return True when woken (flag is taken down), False after `timeout` seconds."""
        raise NotImplementedError

    def close(self) -> None:
        """Stop watching."""
        raise NotImplementedError

    def __enter__(self) -> Watch:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        """Stop watching."""
        self.close()


class Signals:
    """Pub/sub over one connection, fanned out to watches. Topics: see `keys.py`."""

    def watch(self, topic: str) -> Watch:
        """Return a watch that is woken by `topic`; listening starts by itself."""
        raise NotImplementedError

    async def publish(self, topic: str) -> None:
        """Wake every watch of `topic` in every process."""
        raise NotImplementedError

    @asynccontextmanager
    async def listen(self) -> AsyncIterator[Signals]:
        """Listen for the length of the block (watch() starts listening by itself, too)."""
        yield self
