"""One request on its way through the server, and how it is told that nobody waits for it."""

from __future__ import annotations

import time
from threading import Lock

from sandbox_image.toolserver.arguments import Arguments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Request:
    """Arguments and payload of one call; `stream` sends output ahead of the reply."""

    def __init__(
        self,
        operation: str,
        arguments: dict[str, object],
        payload: bytes,
        stream: Callable[[str, bytes], None],
    ) -> None:
        """Wrap one parsed call."""
        self.operation = operation
        self.arguments = Arguments(arguments)
        self.payload = payload
        self.stream = stream
        self.cancelled = False
        self.deadline: float | None = None
        self._lock = Lock()
        self._stop: Callable[[], None] | None = None

    def bounded(self, seconds: float | None) -> float | None:
        """Return `seconds`, or what is left until the deadline where that is less."""
        if self.deadline is None:
            return seconds
        left = max(0.001, self.deadline - time.monotonic())
        return left if seconds is None else min(seconds, left)

    def on_cancel(self, stop: Callable[[], None] | None) -> None:
        """Register what ends the work; called at once when the request is already cancelled."""
        with self._lock:
            self._stop = stop
            late = self.cancelled
        if late and stop is not None:
            stop()

    def cancel(self) -> None:
        """Cancel from any thread; harmless when repeated or too late."""
        with self._lock:
            self.cancelled = True
            stop = self._stop
        if stop is not None:
            stop()
