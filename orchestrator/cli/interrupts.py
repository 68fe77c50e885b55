"""Ctrl+C and SIGTERM while a session must not be left behind.

Owns when a signal may break into the work: only inside `armed`; elsewhere it is
remembered and counts at the next `armed`.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType


class Interrupted(BaseException):
    """A signal asked us to stop."""


class Interrupts:
    """Turns the first signal into `Interrupted`, where that is safe; later ones are ignored."""

    def __init__(self) -> None:
        """Nothing is caught before `installed`."""
        self.asked = False
        """Whether a signal has come."""
        self._armed = False

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Catch the signals inside the block."""
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = [signal.signal(number, self._caught) for number in numbers]
        try:
            yield
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)

    @contextlib.contextmanager
    def armed(self) -> Iterator[None]:
        """Let a signal raise Interrupted inside the block, at once when one has come already."""
        self._armed = True
        try:
            if self.asked:
                raise Interrupted
            yield
        finally:
            self._armed = False

    def _caught(self, number: int, frame: FrameType | None) -> None:
        first, self.asked = not self.asked, True
        if self._armed and first:
            self._armed = False
            raise Interrupted
