"""One RQ worker: waits for a job, forks, waits for its end.

Owns the choices that RQ leaves to us: JSON, no scheduler, no command channel,
short pauses while Redis is away, SIGTERM to a running job instead of SIGKILL.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import Any, Final

from redis import Redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from rq import Queue, Worker
from rq.serializers import JSONSerializer

from orchestrator.store.queue import QUEUE_NAME
from orchestrator.worker.jobs import remember_termination
from orchestrator.worker.process import die_with_parent

RECONNECT_S: Final = 0.5
"""Seconds between tries to reach a Redis that is away."""

MAX_RECONNECT_S: Final = 2.0
"""Seconds to which RQ may stretch such a pause."""


class TurnWorker(Worker):
    """RQ's forking worker with our choices."""

    max_connection_wait_time = MAX_RECONNECT_S

    def subscribe(self) -> None:
        """Open no command channel: it costs a thread, and forking is safe only without."""

    def unsubscribe(self) -> None:
        """Nothing was opened."""

    def setup_work_horse_signals(self) -> None:
        """In the forked job: an interrupt is the terminal's, a SIGTERM is for the turn."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, remember_termination)

    def main_work_horse(self, job: Any, queue: Any) -> None:
        """Run the job in its own process, which ends with this worker."""
        die_with_parent(self.pid or 0)
        super().main_work_horse(job, queue)

    def handle_warm_shutdown_request(self) -> None:
        """Let the running turn end itself; the worker waits for it."""
        if self.horse_pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.horse_pid, signal.SIGTERM)


def work(name: str, url: str) -> None:
    """Take jobs until told to stop; waits while Redis is away."""
    while True:
        try:
            worker = _connected(name, url)
            break
        except (RedisError, OSError):
            time.sleep(RECONNECT_S)
    worker.work(burst=False, logging_level="WARNING", with_scheduler=False)


def _connected(name: str, url: str) -> TurnWorker:
    retry = Retry(ExponentialBackoff(cap=MAX_RECONNECT_S, base=0.05), 20)
    connection = Redis.from_url(url, retry=retry)
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
