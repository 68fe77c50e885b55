"""One RQ worker: waits for a job, runs it, and ends.

Owns the choices that RQ leaves to us: JSON, no scheduler, no command channel,
short pauses while Redis is away. A worker runs one job and is then replaced by a
fresh fork, so that a job never waits for a fork and never inherits another's
remains.
"""

from __future__ import annotations

import time
from types import FrameType
from typing import Final

from redis import Redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from rq import Queue, SimpleWorker
from rq.serializers import JSONSerializer

from orchestrator.store.queue import QUEUE_NAME
from orchestrator.worker.jobs import remember_termination

RECONNECT_S: Final = 0.5
"""Seconds between tries to reach a Redis that is away."""

MAX_RECONNECT_S: Final = 2.0
"""Seconds to which RQ may stretch such a pause."""


class TurnWorker(SimpleWorker):
    """RQ's worker that runs the job itself, with our choices."""

    max_connection_wait_time = MAX_RECONNECT_S

    def subscribe(self) -> None:
        """Open no command channel: it costs a thread, and nobody sends commands."""

    def unsubscribe(self) -> None:
        """Nothing was opened."""

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """Stop when idle; a job that has not taken the signal over yet finds it remembered."""
        remember_termination()
        super().request_stop(signum, frame)  # type: ignore[no-untyped-call]


def work(name: str, url: str) -> None:
    """Take one job, or none when told to stop; waits while Redis is away."""
    while True:
        try:
            worker = _connected(name, url)
            break
        except (RedisError, OSError):
            time.sleep(RECONNECT_S)
    worker.work(burst=False, logging_level="WARNING", with_scheduler=False, max_jobs=1)


def _connected(name: str, url: str) -> TurnWorker:
    retry = Retry(ExponentialBackoff(cap=MAX_RECONNECT_S, base=0.05), 20)
    connection = Redis.from_url(url, retry=retry, driver_info=None)
    queue = Queue(QUEUE_NAME, connection=connection, serializer=JSONSerializer)
    worker = TurnWorker(
        [queue],
        name=name,
        connection=connection,
        serializer=JSONSerializer,
        log_job_description=False,
    )
    worker.connection.ping()
    return worker
