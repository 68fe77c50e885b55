"""The queue of turns that wait for a worker, kept by RQ.

Owns the queue's name, its serializer and the options of a job. RQ keeps keys
of its own (`rq:…`). A job carries identifiers only.
"""

from __future__ import annotations

import asyncio
from functools import cached_property
from typing import TYPE_CHECKING, Final

from orchestrator.domain.limits import TURN_TIMEOUT_S
from orchestrator.store.connection import translated

if TYPE_CHECKING:
    from rq import Queue

QUEUE_NAME: Final = "turns"
JOB_FUNCTION: Final = "orchestrator.worker.jobs.run_turn"
"""Called with session id and turn id."""
JOB_TIMEOUT_S: Final = int(TURN_TIMEOUT_S) + 60
"""Seconds after which RQ ends a job; our own deadline comes first."""
FAILURE_KEPT_S: Final = 3600
"""Seconds for which RQ remembers a job that failed."""


class TurnQueue:
    """Puts turns where workers find them."""

    def __init__(self, url: str) -> None:
        """Prepare a queue at `url` without connecting."""
        self._url = url

    @cached_property
    def _queue(self) -> Queue:
        # Imported here because only those who enqueue pay for it.
        from redis import Redis
        from redis.backoff import ExponentialBackoff
        from redis.retry import Retry
        from rq import Queue
        from rq.serializers import JSONSerializer

        retry = Retry(ExponentialBackoff(cap=0.5, base=0.02), 20)
        return Queue(
            QUEUE_NAME,
            connection=Redis.from_url(self._url, retry=retry),
            default_timeout=JOB_TIMEOUT_S,
            serializer=JSONSerializer,
        )

    async def enqueue(self, session_id: str, turn_id: str) -> None:
        """Enqueue the turn; doing it twice is harmless because beginning a turn is exclusive.

        Raises StoreUnavailable.
        """
        await asyncio.to_thread(self._enqueue, session_id, turn_id)

    def _enqueue(self, session_id: str, turn_id: str) -> None:
        with translated():
            self._queue.enqueue_call(
                JOB_FUNCTION,
                args=(session_id, turn_id),
                timeout=JOB_TIMEOUT_S,
                result_ttl=0,
                failure_ttl=FAILURE_KEPT_S,
                description=f"turn {turn_id}",
            )

    def close(self) -> None:
        """Close the queue's connections, if it ever made one."""
        if "_queue" in self.__dict__:
            self._queue.connection.close()
