"""Foreground commands: run, stream or collect their output, end them on time."""

from __future__ import annotations

import os
import time

from sandbox_image.toolserver.errors import ToolFailure
from sandbox_image.toolserver.output import HeadAndTail
from sandbox_image.toolserver.processes import Child, ProgramMissing, spawn, wait_readable
from sandbox_image.toolserver.roots import Directory
from sandbox_image.toolserver.threads import ThreadRefused, start_thread

MAX_TIMEOUT_S = 3600.0
"""Seconds a command may be given; a request without a timeout has none."""

MAX_KEPT_BYTES = 15 * 1024 * 1024
"""Bytes of output one reply can carry, both streams together."""

DRAIN_GRACE_S = 0.25
"""Seconds that output is still read after the command itself has ended."""

_READ_BYTES = 65536
_NO_PIDFD_POLL_S = 0.02

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    OnOutput = Callable[[str, bytes], None]


class Command:
    """One foreground command from start to collected result."""

    def __init__(
        self,
        command: list[str],
        environment: dict[str, str],
        directory: Directory,
        stdin: int = -1,
    ) -> None:
        """Describe the command; nothing starts yet.

        `directory` and the descriptor `stdin` stay the caller's to close; -1 is an empty one.
        """
        self._stdin = stdin
        self._command = command
        self._environment = environment
        self._directory = directory
        self._child: Child | None = None
        self._stopped: str | None = None
        self._streams: dict[int, str] = {}

    def stop(self, code: str) -> None:
        """End the command from any thread; `run` then raises a failure with this code."""
        if self._stopped is None:
            self._stopped = code
            if self._child is not None:
                self._child.kill()

    def run(self, stdin: bytes | None, timeout_s: float | None, on_output: OnOutput) -> int:
        """Run to the end and return the exit code; raises `timeout` or what `stop` was given."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        try:
            child = self._start(stdin)
        except ProgramMissing as missing:
            on_output("stderr", f"{missing}\n".encode("utf-8", "replace"))
            return missing.exit_code
        try:
            # A cancellation may have come before there was anything to kill.
            if self._stopped is not None:
                child.kill()
            self._follow(child, deadline, on_output)
        except BaseException:  # whatever ends the following must end the command too
            self.stop("cancelled")
            raise
        finally:
            if self._stopped is not None:
                child.kill()
            code = child.reap(block=True)
            for handle in self._streams:
                os.close(handle)
        if self._stopped is not None:
            raise ToolFailure(self._stopped, f"the command was ended: {self._stopped}")
        return 0 if code is None else code

    def _start(self, stdin: bytes | None) -> Child:
        out_read, out_write = os.pipe()
        err_read, err_write = os.pipe()
        in_read, in_write = os.pipe() if stdin else (self._empty_input(), -1)
        self._streams = {out_read: "stdout", err_read: "stderr"}
        try:
            streams = (in_read, out_write, err_write)
            child = spawn(self._command, self._environment, self._directory, streams)
        except BaseException:  # no descriptor may outlive a start that failed
            for handle in (out_read, err_read, in_write):
                if handle >= 0:
                    os.close(handle)
            raise
        finally:
            for handle in (out_write, err_write, in_read):
                os.close(handle)
        self._child = child
        if stdin:
            try:
                start_thread(feed, in_write, stdin)
            except ThreadRefused:
                os.close(in_write)
                child.kill()
                child.reap(block=True)
                raise
        return child

    def _empty_input(self) -> int:
        return os.open(os.devnull, os.O_RDONLY) if self._stdin < 0 else os.dup(self._stdin)

    def _follow(self, child: Child, deadline: float | None, on_output: OnOutput) -> None:
        """Pass output on until the command has ended and its pipes are empty or out of grace."""
        ended = False
        while not ended or self._streams:
            handles = list(self._streams)
            if not ended and child.handle >= 0:
                handles.append(child.handle)
            wait_s = None if deadline is None else deadline - time.monotonic()
            if wait_s is not None and wait_s <= 0:
                if not ended:
                    self.stop("timeout")
                return
            if not ended and child.handle < 0:
                wait_s = min(_NO_PIDFD_POLL_S, wait_s or _NO_PIDFD_POLL_S)
            self._pass_on(wait_readable(handles, wait_s), on_output)
            if not ended and child.reap(block=False) is not None:
                ended = True
                grace = time.monotonic() + DRAIN_GRACE_S
                deadline = grace if deadline is None else min(deadline, grace)

    def _pass_on(self, ready: set[int], on_output: OnOutput) -> None:
        for handle in ready & self._streams.keys():
            data = os.read(handle, _READ_BYTES)
            if data:
                on_output(self._streams[handle], data)
            else:
                del self._streams[handle]
                os.close(handle)


def feed(handle: int, data: bytes) -> None:
    """Write standard input to the end, or until the command stops reading."""
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(handle, view) :]
    except OSError:
        return
    finally:
        os.close(handle)


class Collector:
    """Both streams of one command, each kept within its limit."""

    def __init__(self, limit: int) -> None:
        """Keep at most `limit` bytes of each stream."""
        self._streams = {"stdout": HeadAndTail(limit), "stderr": HeadAndTail(limit)}

    def add(self, stream: str, data: bytes) -> int:
        """Take output of one stream; returns how much that stream has written in all."""
        kept = self._streams[stream]
        kept.add(data)
        return kept.total

    def reply(self) -> tuple[dict[str, object], bytes]:
        """Describe and join what was kept: for each stream head length, tail length and cut."""
        described: dict[str, object] = {}
        payload: list[bytes] = []
        for name, stream in self._streams.items():
            head, tail, cut = stream.parts()
            described[name] = [len(head), len(tail), cut]
            payload += (head, tail)
        return described, b"".join(payload)
