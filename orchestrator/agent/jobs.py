"""Looking at a background job: what it says until it is quiet, done, or the time is up.

Owns when a look is over and how much of it is kept. Refuses to word anything, and to end a job
because nobody looks at it any more.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final, Protocol, runtime_checkable

from orchestrator.domain.jobs import MAX_KEPT_BYTES, Job, JobOutput

PAUSE_S: Final = 0.25
"""Seconds without output after which a job counts as quiet, and between two questions."""

_QUESTION_S: Final = 30.0
"""Seconds that one question to the sandbox waits at most; a look asks several."""


class Jobs(Protocol):
    """The background jobs of one session; raises what a workspace raises."""

    async def start(self, command: str) -> Job:
        """Start a shell line in the project's directory."""
        ...

    async def look(self, name: str, cursor: int, wait_s: float) -> JobOutput:
        """Return output from `cursor` on; waits for some, or the end, up to `wait_s` seconds."""
        ...

    async def send(self, name: str, data: bytes, *, close: bool) -> None:
        """Write to a job's standard input, then perhaps close it."""
        ...

    async def kill(self, name: str) -> Job:
        """End a job and everything it started."""
        ...

    async def listing(self) -> list[Job]:
        """Return all jobs, oldest first."""
        ...


@runtime_checkable
class KeepsJobs(Protocol):
    """A workspace with background jobs."""

    @property
    def jobs(self) -> Jobs:
        """The jobs."""
        ...


class Look:
    """What was seen of one job from a position on."""

    def __init__(self, jobs: Jobs, name: str, cursor: int, show: Callable[[bytes], object]) -> None:
        """Ask nothing yet; output from `cursor` on is new, and `show` gets it as it comes."""
        self._jobs = jobs
        self._show = show
        self.name = name
        self.cursor = cursor
        """The position behind everything seen."""
        self.data = b""
        """The newest output, with no gap in it."""
        self.lost = 0
        """Bytes before it that nobody keeps any more."""

    async def follow(self, wait_s: float, until: str = "") -> Job:
        """Look for up to `wait_s` seconds, and return the job as it was at the end.

        Ends sooner with the job, or once `until` was said; where that is empty, once something
        was said and nothing more follows.
        """
        deadline, wanted = time.monotonic() + wait_s, until.encode("utf-8", "replace")
        left, spoke = wait_s, False
        while True:
            found = await self._ask(0 if spoke and not wanted else min(left, _QUESTION_S))
            left = deadline - time.monotonic()
            quiet = spoke and not found.data and not wanted
            spoke = spoke or bool(found.data)
            if not found.job.running:
                break
            if left <= 0 or quiet or (wanted and wanted in self.data):
                return found.job
            await asyncio.sleep(min(PAUSE_S, left))
        # Its last words may still be on their way when it is known to have ended.
        await asyncio.sleep(PAUSE_S)
        return (await self._ask(0)).job

    async def _ask(self, patience_s: float) -> JobOutput:
        found = await self._jobs.look(self.name, self.cursor, patience_s)
        self.cursor = found.cursor
        if found.lost:
            self.lost += len(self.data) + found.lost
            self.data = b""
        self.data += found.data
        if (excess := len(self.data) - MAX_KEPT_BYTES) > 0:
            self.lost += excess
            self.data = self.data[excess:]
        if found.data:
            self._show(found.data)
        return found
