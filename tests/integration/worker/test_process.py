"""Forked processes end when they are told to, from their first moment on."""

from __future__ import annotations

import os
import signal
import time

from orchestrator.worker.process import forked, start


def test_a_signal_at_the_first_moment_is_not_lost() -> None:
    """As when the workers end just while a new one is being forked."""
    taken: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: taken.append(number))
    try:
        for _ in range(30):
            process = forked("sleeper", time.sleep, 60)
            start(process)
            assert process.pid is not None
            os.kill(process.pid, signal.SIGTERM)
            process.join(20)
            alive = process.is_alive()
            process.kill()
            process.join()
            assert not alive
            assert process.exitcode == -signal.SIGTERM
        assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
        os.kill(os.getpid(), signal.SIGTERM)
        assert taken == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)
