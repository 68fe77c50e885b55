"""What runs in a sandbox now, so that all of it can be ended together."""

from __future__ import annotations

import threading
from contextlib import contextmanager

from sandbox_image.toolserver.jobs import JobTable
from sandbox_image.toolserver.marks import kill_all_marked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Activity:
    """Foreground commands and jobs."""

    def __init__(self, jobs: JobTable) -> None:
        """Know of `jobs` and of no command."""
        self._jobs = jobs
        self._stops: dict[int, Callable[[str], None]] = {}
        self._lock = threading.Lock()

    @contextmanager
    def command(self, stop: Callable[[str], None]) -> Iterator[None]:
        """Count a command for the length of the block; `stop` ends it with a code."""
        key = id(stop)
        with self._lock:
            self._stops[key] = stop
        try:
            yield
        finally:
            with self._lock:
                del self._stops[key]

    @property
    def busy(self) -> bool:
        """Whether a command or a job runs."""
        return bool(self._stops) or self._jobs.running

    def stop_all(self, code: str, spared: str | None) -> None:
        """End all of it, what earlier commands left behind too; `spared` is a marker to leave."""
        with self._lock:
            stops = list(self._stops.values())
        for stop in stops:
            stop(code)
        self._jobs.stop_all(code)
        kill_all_marked(spared)
