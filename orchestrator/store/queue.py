"""The job queue (being built)."""

from __future__ import annotations

from typing import Final

QUEUE_NAME: Final = "turns"
JOB_FUNCTION: Final = "orchestrator.worker.jobs.run_turn"


class TurnQueue:
    """Puts turns where workers find them."""

    async def enqueue(self, session_id: str, turn_id: str) -> None:
        """Enqueue `run_turn(session_id, turn_id)`; twice is harmless, `begin` is exclusive."""
        raise NotImplementedError
