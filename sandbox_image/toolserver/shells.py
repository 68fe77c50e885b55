"""Persistent shells: one process a name, which keeps its directory, variables and functions.

A shell reads what to run from a pipe of its own and reports exit codes on another. Commands
inherit neither, so that nothing they print can be taken for the end of a command.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from contextlib import suppress

from sandbox_image.toolserver.commands import DRAIN_GRACE_S, feed
from sandbox_image.toolserver.errors import ToolFailure
from sandbox_image.toolserver.processes import (
    ProgramMissing,
    find_program,
    spawn,
    wait_readable,
)
from sandbox_image.toolserver.roots import Directory
from sandbox_image.toolserver.threads import ThreadRefused, start_thread

MAX_SHELLS = 8
"""Shells of one sandbox; a further name is refused with `limit_shells`."""

MAX_COMMAND_BYTES = 256 * 1024
"""Bytes of one command."""

MAX_NAME_CHARACTERS = 64
"""Characters of a shell's name."""

_READ_BYTES = 65536
"""Bytes read at a time; no less than a pipe holds."""

_REPORT_BYTES = 32
"""Bytes of a report at most; longer ones come from no shell of ours."""

_LOWEST_DESCRIPTOR = 10
"""Ours lie above those a shell is started with, which are put in place one after another."""

_NO_PIDFD_POLL_S = 0.02

_PREPARE = b"exec 3<&- 7>&4 4>&- 8>&1 9>&2\n"
"""Moves the report pipe and the two outputs to where each command leaves them alone."""

_RUN = b"eval '%s' </dev/null >&8 2>&9 7>&- 8>&- 9>&-\nprintf '%%d\\n' \"$?\" >&7\n"
"""Runs one quoted command without our descriptors and reports its exit code."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    OnOutput = Callable[[str, bytes], None]


class Shell:
    """One shell; runs one command at a time."""

    def __init__(self, environment: dict[str, str], directory: Directory) -> None:
        """Start the shell in `directory`."""
        self._turn = threading.Lock()
        self._stopped: str | None = None
        script, self._script = _pipe()
        self._report, report = _pipe()
        self._out, out = _pipe()
        self._err, err = _pipe()
        null = _raised(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
        try:
            words = _shell_words(environment["PATH"])
            self._child = spawn(words, environment, directory, (null, out, err, script, report))
        except BaseException:  # no descriptor may outlive a start that failed
            self._close_descriptors()
            raise
        finally:
            for handle in (null, out, err, script, report):
                os.close(handle)
        for handle in (self._out, self._err, self._report):
            os.set_blocking(handle, False)
        os.write(self._script, _PREPARE)

    @property
    def alive(self) -> bool:
        """Whether the shell can take another command."""
        if self._turn.acquire(blocking=False):
            try:
                # Nobody watches an idle one, which may have been killed for memory.
                self._child.reap(block=False)
            finally:
                self._turn.release()
        return self._stopped is None and self._child.exit_code is None

    @property
    def busy(self) -> bool:
        """Whether a command is running."""
        return self._turn.locked()

    @property
    def directory(self) -> str | None:
        """Where the shell is; None when it has ended."""
        try:
            return os.readlink(f"/proc/{self._child.pid}/cwd") if self.alive else None
        except OSError:
            return None

    def stop(self, code: str) -> None:
        """Kill the shell and all that it started, from any thread; `run` then raises `code`."""
        if self._stopped is None:
            self._stopped = code
            self._child.kill()

    def close(self) -> None:
        """End the shell and give its descriptors back, once no command runs in it."""
        self.stop("cancelled")
        with self._turn:
            self._child.reap(block=True)
            self._close_descriptors()

    def _close_descriptors(self) -> None:
        for handle in (self._script, self._report, self._out, self._err):
            with suppress(OSError):
                os.close(handle)
        self._script = self._report = self._out = self._err = -1

    def run(self, command: bytes, timeout_s: float | None, on_output: OnOutput) -> int:
        """Run one command and return its exit code, or the shell's own when it ended.

        Raises `busy` while another one runs, `timeout` or what `stop` was given.
        """
        # Longer than anybody needs to look whether the shell is alive.
        if not self._turn.acquire(timeout=0.2):
            raise ToolFailure("busy", "the shell is running another command")
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        try:
            self._refuse_stale_report()
            self._send(_RUN % command.replace(b"'", b"'\\''"))
            code = self._follow(deadline, on_output)
        except BaseException:  # a shell with half a command in it cannot be used again
            self.stop("cancelled")
            raise
        finally:
            self._turn.release()
        if self._stopped is not None:
            raise ToolFailure(self._stopped, f"the command was ended: {self._stopped}")
        return code

    def _send(self, data: bytes) -> None:
        # A small one fits into the empty pipe; a large one must not wait for a stopped shell.
        if len(data) <= 4096:
            with suppress(BrokenPipeError):
                os.write(self._script, data)
        else:
            handle = os.dup(self._script)
            try:
                start_thread(feed, handle, data)
            except ThreadRefused:
                os.close(handle)
                raise

    def _refuse_stale_report(self) -> None:
        """Raise when something reported while nothing ran: no later report could be believed."""
        with suppress(BlockingIOError):
            if os.read(self._report, _REPORT_BYTES):
                raise ToolFailure("unavailable", "the shell reported an exit code of its own")

    def _follow(self, deadline: float | None, on_output: OnOutput) -> int:
        """Pass output on until the report or the shell's end; returns the exit code."""
        streams = {self._out: "stdout", self._err: "stderr"}
        reporting = True
        while self._stopped is None:
            ready = self._wait([*streams, *([self._report] if reporting else [])], deadline)
            if ready is None:
                self.stop("timeout")
                break
            code = None
            # Looked at before the outputs: what was written before the report is then there.
            if reporting and self._report in ready:
                code = self._reported()
                # At its end the shell has ended, or is now the program it was replaced by.
                reporting = code is not None
            if code is None:
                code = self._child.reap(block=False)
            for handle in list(streams):
                if handle in ready or code is not None:
                    _pass_on(handle, streams, on_output)
            if code is not None:
                return code
        _drain(streams, on_output)
        return 128

    def _wait(self, handles: list[int], deadline: float | None) -> set[int] | None:
        """Wait for output, a report or the shell's end; None when the time is over."""
        wait_s = None if deadline is None else deadline - time.monotonic()
        if wait_s is not None and wait_s <= 0:
            return None
        if self._child.handle >= 0:
            handles.append(self._child.handle)
        else:
            wait_s = min(_NO_PIDFD_POLL_S, wait_s or _NO_PIDFD_POLL_S)
        return wait_readable(handles, wait_s)

    def _reported(self) -> int | None:
        """Read a report; None at the end of the pipe."""
        data = os.read(self._report, _REPORT_BYTES)
        if not data:
            return None
        text = data[:-1]
        if not data.endswith(b"\n") or not text.isdigit() or int(text) > 255:
            raise ToolFailure("unavailable", "the shell reported no exit code")
        return int(text)


class ShellTable:
    """The shells of one sandbox by name."""

    def __init__(self, environment: dict[str, str], directory: Directory) -> None:
        """Start with none; each starts in `directory`."""
        self._environment = environment
        self._directory = directory
        self._shells: dict[str, Shell] = {}
        self._lock = threading.Lock()

    def open(self, name: str) -> tuple[Shell, bool]:
        """Return the shell of that name and whether it was started now."""
        if not 0 < len(name) <= MAX_NAME_CHARACTERS or not name.isprintable():
            raise ToolFailure(
                "invalid_argument", f"a shell's name has 1 to {MAX_NAME_CHARACTERS} characters"
            )
        with self._lock:
            shell = self._shells.get(name)
            if shell is not None and shell.alive:
                return shell, False
            if shell is None and len(self._shells) >= MAX_SHELLS:
                raise ToolFailure("limit_shells", f"{MAX_SHELLS} shells are open; reset one first")
            fresh = self._shells[name] = Shell(self._environment, self._directory)
        if shell is not None:
            shell.close()
        return fresh, True

    def reset(self, name: str) -> bool:
        """End the shell of that name; False when there is none."""
        with self._lock:
            shell = self._shells.pop(name, None)
        if shell is None:
            return False
        shell.close()
        return True

    def discard(self, name: str, shell: Shell) -> None:
        """Forget a shell that has ended, unless another has taken its name."""
        with self._lock:
            if self._shells.get(name) is shell:
                del self._shells[name]
        shell.close()

    def describe(self) -> list[dict[str, object]]:
        """Name, state and directory of each."""
        with self._lock:
            return [
                {"name": name, "busy": shell.busy, "cwd": shell.directory}
                for name, shell in self._shells.items()
                if shell.alive
            ]

    def close(self) -> None:
        """Kill all shells."""
        with self._lock:
            shells = list(self._shells.values())
        for shell in shells:
            shell.stop("cancelled")


def _shell_words(search_path: str) -> list[str]:
    """A shell that reads its script from descriptor 3; bash where there is one."""
    with suppress(ProgramMissing):
        return [find_program("bash", search_path, "/"), "--noprofile", "--norc", "/proc/self/fd/3"]
    return ["/bin/sh", "/proc/self/fd/3"]


def _raised(handle: int) -> int:
    """Move a descriptor above those that a shell is started with."""
    if handle >= _LOWEST_DESCRIPTOR:
        return handle
    try:
        return fcntl.fcntl(handle, fcntl.F_DUPFD_CLOEXEC, _LOWEST_DESCRIPTOR)
    finally:
        os.close(handle)


def _pipe() -> tuple[int, int]:
    read, write = os.pipe()
    return _raised(read), _raised(write)


def _pass_on(handle: int, streams: dict[int, str], on_output: OnOutput) -> None:
    """Read once; more than a pipe holds was written by what still runs in the background."""
    try:
        data = os.read(handle, _READ_BYTES)
    except BlockingIOError:
        return
    if data:
        on_output(streams[handle], data)
    else:
        del streams[handle]


def _drain(streams: dict[int, str], on_output: OnOutput) -> None:
    """Read what a killed shell had written, for a grace at most."""
    deadline = time.monotonic() + DRAIN_GRACE_S
    while streams and (left := deadline - time.monotonic()) > 0:
        ready = wait_readable(list(streams), left)
        for handle in ready:
            _pass_on(handle, streams, on_output)
