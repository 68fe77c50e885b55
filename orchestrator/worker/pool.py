"""The worker process: imports once, forks many, and keeps them alive.

    this process ── no connection, no thread, no event loop: only forks
      ├── caretaker   sweeps and announces
      └── worker ×N   waits for a job, runs that turn, ends and is replaced

Owns the life of its processes and an orderly end. Refuses to run anything
itself, so that forking stays safe and cheap.
"""

from __future__ import annotations

import gc
import os
import signal
import time
from contextlib import suppress
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess
from types import FrameType
from typing import Any, Final
from uuid import uuid4

import structlog
from redis import Redis
from rq.serializers import JSONSerializer
from rq.worker_pool import WorkerData, WorkerPool

from orchestrator.settings import Settings
from orchestrator.store.queue import QUEUE_NAME
from orchestrator.worker.caretaker import care
from orchestrator.worker.jobs import Shared, prepare
from orchestrator.worker.process import forked, start
from orchestrator.worker.queue_worker import TurnWorker, work
from orchestrator.worker.warm_up import warm_up

CHECK_S: Final = 1.0
"""Seconds between two looks at the processes; also the pause after one died."""

SHUTDOWN_S: Final = 20.0
"""Seconds that running turns have to record their interruption before they are killed."""

_log = structlog.get_logger(__name__)


def run_worker(settings: Settings) -> None:
    """Run turns until SIGTERM or SIGINT; running turns are then interrupted and saved."""
    shared = prepare(settings)
    warm_up(shared.models)
    gc.collect()
    # What is imported by now is never collected again: a collection would touch, and so copy, it.
    gc.freeze()
    TurnPool(shared).start()


class TurnPool(WorkerPool):
    """RQ's pool with workers of our own, a caretaker, and an end with a deadline."""

    def __init__(self, shared: Shared) -> None:
        """Prepare without connecting."""
        self._shared = shared
        self._url = shared.settings.effective_redis_url
        super().__init__(
            [QUEUE_NAME],
            connection=Redis.from_url(self._url),
            num_workers=shared.settings.worker_count,
            worker_class=TurnWorker,
            serializer=JSONSerializer,
        )
        self._caretaker: ForkProcess | None = None
        self._wake_up = os.pipe()
        self._rest_until = 0.0
        """Monotonic seconds before which nothing is started, so that a fault does not spin."""

    def get_worker_process(self, name: str, *_: Any, **__: Any) -> ForkProcess:
        """Return a forked worker without a scheduler."""
        return forked(f"jido-worker-{name[:8]}", work, name, self._url)

    def reap_workers(self) -> None:
        """Forget workers that ended; never waits."""
        for data in list(self.worker_dict.values()):
            if not data.process.is_alive():
                self.worker_dict.pop(data.name, None)
                if data.process.exitcode != 0:
                    _log.warning("worker.died", pid=data.pid, code=data.process.exitcode)
                    self._rest_until = time.monotonic() + CHECK_S

    def start_worker(self, *_: Any, **__: Any) -> None:
        """Fork one worker."""
        name = uuid4().hex
        process = self.get_worker_process(name)
        start(process)
        self.worker_dict[name] = WorkerData(name=name, pid=process.pid or 0, process=process)

    def start(self, *_: Any, **__: Any) -> None:
        """Keep caretaker and workers running until a signal asks to stop."""
        self.status = self.Status.STARTED
        self._listen_for_signals()
        _log.info("worker.started", workers=self.num_workers, pid=os.getpid())
        while self.status is self.Status.STARTED:
            self._keep_alive()
            self._wait(CHECK_S)
        self._stop()

    def request_stop(self, signum: int | None = None, frame: FrameType | None = None) -> None:
        """Ask for the orderly end; the loop does the rest."""
        self.status = self.Status.STOPPED

    def _listen_for_signals(self) -> None:
        for end in self._wake_up:
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._wake_up[1], warn_on_full_buffer=False)
        signal.signal(signal.SIGINT, self.request_stop)
        signal.signal(signal.SIGTERM, self.request_stop)

    def _keep_alive(self) -> None:
        self.reap_workers()
        if time.monotonic() < self._rest_until:
            return
        for _ in range(self.num_workers - len(self.worker_dict)):
            if self.status is self.Status.STARTED:
                self.start_worker()
        if self._caretaker is None or not self._caretaker.is_alive():
            self._caretaker = forked("jido-caretaker", care, self._shared)
            start(self._caretaker)

    def _wait(self, seconds: float) -> None:
        """Sleep until a worker ended, a signal came or the time is over."""
        ends = [data.process.sentinel for data in self.worker_dict.values()]
        wait([self._wake_up[0], *ends], timeout=seconds)
        with suppress(BlockingIOError):
            os.read(self._wake_up[0], 4096)

    def _stop(self) -> None:
        """End every process: the turns first, the caretaker last."""
        _log.info("worker.stopping", workers=len(self.worker_dict))
        for data in self.worker_dict.values():
            self.stop_worker(data, signal.SIGTERM)
        deadline = time.monotonic() + SHUTDOWN_S
        while self.worker_dict and time.monotonic() < deadline:
            self._wait(0.5)
            self.reap_workers()
        for data in self.worker_dict.values():
            _log.error("worker.killed", pid=data.pid)
            data.process.kill()
        if self._caretaker is not None:
            self._caretaker.terminate()
            self._caretaker.join(5)
        signal.set_wakeup_fd(-1)
        for end in self._wake_up:
            os.close(end)
        _log.info("worker.stopped")
