"""Background jobs: commands that outlive the request, and the worker, that started them.

Each job keeps the last part of its output; a reader names the position it has seen and is
told when something before its place was dropped.
"""

from __future__ import annotations

import os
import threading
import time

from sandbox_image.toolserver.errors import ToolFailure
from sandbox_image.toolserver.processes import ProgramMissing, spawn, wait_readable
from sandbox_image.toolserver.roots import Directory
from sandbox_image.toolserver.threads import ThreadRefused, start_thread
from sandbox_image.toolserver.watch import LimitWatch

MAX_JOBS = 32
"""Jobs remembered at once; starting another forgets the oldest that has ended, or is refused."""

MAX_OUTPUT_BYTES = 256 * 1024
"""Bytes of output one job keeps, both streams together in order of arrival."""

_READ_BYTES = 65536
_DRAIN_GRACE_S = 0.5
_POLL_S = 0.5
_KILLED = 128 + 9

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Job:
    """One background command and its output."""

    def __init__(
        self,
        identity: str,
        words: list[str],
        environment: dict[str, str],
        directory: Directory,
        watch: LimitWatch,
    ) -> None:
        """Start the command; raises `ProgramMissing` or `OSError`."""
        self.identity = identity
        self.words = words
        self._output = bytearray()
        self._dropped = 0
        self._changed = threading.Condition()
        self._ended_at: float | None = None
        self._stopped: str | None = None
        self._watch = watch
        self._kills = watch.memory_kills
        self._input_lock = threading.Lock()
        in_read, self._input = os.pipe()
        out_read, out_write = os.pipe()
        try:
            streams = (in_read, out_write, out_write)
            self._child = spawn(words, environment, directory, streams)
        except BaseException:  # no descriptor may outlive a start that failed
            os.close(self._input)
            os.close(out_read)
            raise
        finally:
            os.close(in_read)
            os.close(out_write)
        os.set_blocking(self._input, False)
        try:
            start_thread(self._follow, out_read)
        except ThreadRefused:
            os.close(self._input)
            os.close(out_read)
            self._child.kill()
            self._child.reap(block=True)
            raise

    @property
    def ended(self) -> bool:
        """Whether the command itself has ended."""
        return self._ended_at is not None

    def _follow(self, handle: int) -> None:
        """Read output until its end, or for a grace after the command has ended."""
        open_output, deadline = True, None
        while open_output or not self.ended:
            watched = [handle] if open_output else []
            if not self.ended and self._child.handle >= 0:
                watched.append(self._child.handle)
            if deadline is not None and time.monotonic() > deadline:
                break
            if handle in wait_readable(watched, _POLL_S if deadline is None else 0.05):
                data = os.read(handle, _READ_BYTES)
                open_output = bool(data)
                self._take(data)
            if not self.ended and self._child.reap(block=False) is not None:
                deadline = time.monotonic() + _DRAIN_GRACE_S
                self._look_at_memory()
                self._end()
        os.close(handle)
        with self._input_lock:
            self._close_input()

    def _look_at_memory(self) -> None:
        """Say so when it was the limit of memory that ended the command."""
        if self._child.exit_code == _KILLED and self._watch.look() > self._kills:
            self._stopped = self._stopped or "memory_limit"
            self._take(self._watch.memory_words(killed=True))

    def _take(self, data: bytes) -> None:
        with self._changed:
            self._output += data
            excess = len(self._output) - MAX_OUTPUT_BYTES
            if excess > 0:
                del self._output[:excess]
                self._dropped += excess
            self._changed.notify_all()

    def _end(self) -> None:
        with self._changed:
            self._ended_at = time.monotonic()
            self._changed.notify_all()

    def wake(self) -> None:
        """Let waiting readers look whether they are still wanted."""
        with self._changed:
            self._changed.notify_all()

    def poll(
        self, cursor: int, wait_s: float, cancelled: Callable[[], bool]
    ) -> tuple[dict[str, object], bytes]:
        """Output from `cursor` on, waiting up to `wait_s` seconds for some or for the end."""
        deadline = time.monotonic() + wait_s
        with self._changed:
            while not self.ended and self._dropped + len(self._output) <= cursor:
                left = deadline - time.monotonic()
                if left <= 0 or cancelled():
                    break
                self._changed.wait(left)
            if cancelled():
                raise ToolFailure("cancelled", "the poll was cancelled")
            start = max(cursor, self._dropped)
            data = bytes(self._output[start - self._dropped :])
            return {**self.describe(), "cursor": start + len(data), "lost": start - cursor}, data

    def describe(self) -> dict[str, object]:
        """State, and the exit code once there is one."""
        return {
            "job": self.identity,
            "running": not self.ended,
            "exit_code": self._child.exit_code,
            "stopped": self._stopped,
            "command": " ".join(self.words)[:200],
        }

    def write(self, data: bytes, close: bool) -> None:
        """Write to the command's standard input without waiting; raises `busy` when it is full."""
        with self._input_lock:
            if self._input < 0:
                raise ToolFailure("unavailable", f"{self.identity}: its input is closed")
            try:
                written = os.write(self._input, data) if data else 0
                if written < len(data):
                    raise ToolFailure(
                        "busy",
                        f"{self.identity}: it took only {written} bytes of its input",
                        {"written": written},
                    )
            except BlockingIOError:
                raise ToolFailure(
                    "busy", f"{self.identity}: it does not read its input", {"written": 0}
                ) from None
            except BrokenPipeError:
                raise ToolFailure("unavailable", f"{self.identity}: its input is closed") from None
            if close:
                self._close_input()

    def _close_input(self) -> None:
        if self._input >= 0:
            os.close(self._input)
            self._input = -1

    def stop(self, code: str) -> None:
        """End the job and say why, without waiting for its end."""
        if not self.ended:
            self._stopped = code
            self._child.kill()

    def kill(self) -> dict[str, object]:
        """End the job and everything it started; harmless when it has ended."""
        self._child.kill()
        with self._changed:
            deadline = time.monotonic() + 5.0
            while not self.ended and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)
        return self.describe()


class JobTable:
    """The jobs of one sandbox."""

    def __init__(self, watch: LimitWatch) -> None:
        """Start with none; `watch` knows which limits they meet."""
        self._watch = watch
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()
        self._started = 0

    def start(
        self, words: list[str], environment: dict[str, str], directory: Directory
    ) -> dict[str, object]:
        """Start a job; raises `limit_jobs` when all places hold running ones."""
        with self._lock:
            if len(self._jobs) >= MAX_JOBS:
                ended = next((job for job in self._jobs.values() if job.ended), None)
                if ended is None:
                    raise ToolFailure("limit_jobs", f"{MAX_JOBS} jobs are running; end one first")
                del self._jobs[ended.identity]
            self._started += 1
            identity = f"job-{self._started}"
            try:
                job = Job(identity, words, environment, directory, self._watch)
            except ProgramMissing as missing:
                raise ToolFailure("not_found", str(missing)) from None
            self._jobs[identity] = job
        return job.describe()

    def get(self, identity: str) -> Job:
        """Return a job; raises `not_found`."""
        with self._lock:
            job = self._jobs.get(identity)
        if job is None:
            raise ToolFailure("not_found", f"no job {identity[:80]!r}")
        return job

    @property
    def running(self) -> bool:
        """Whether any job runs."""
        with self._lock:
            return any(not job.ended for job in self._jobs.values())

    def stop_all(self, code: str) -> None:
        """End all running jobs, without waiting for their end."""
        with self._lock:
            running = [job for job in self._jobs.values() if not job.ended]
        for job in running:
            job.stop(code)

    def forget(self, identity: str) -> None:
        """Drop an ended job; raises `busy` while it runs."""
        if not self.get(identity).ended:
            raise ToolFailure("busy", f"{identity}: still running; end it first")
        with self._lock:
            self._jobs.pop(identity, None)

    def describe(self) -> list[dict[str, object]]:
        """All jobs, oldest first."""
        with self._lock:
            return [job.describe() for job in self._jobs.values()]

    def close(self) -> None:
        """Kill all running jobs."""
        with self._lock:
            running = [job for job in self._jobs.values() if not job.ended]
        for job in running:
            job.kill()
