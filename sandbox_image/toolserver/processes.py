"""Starting processes and waiting for them.

Every command gets a session of its own and a mark, so that its descendants can be found and
killed even after they left its process group.
"""

from __future__ import annotations

import errno
import os
import select
import signal

from sandbox_image.toolserver.errors import ToolFailure
from sandbox_image.toolserver.marks import MARKER, kill_tree, start_marked
from sandbox_image.toolserver.priorities import COMMAND_NICE, run_last, scored_first
from sandbox_image.toolserver.roots import Directory

_RESET_SIGNALS = (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGTERM)
"""Signals that Python or this server handles; a command starts with their defaults."""


class ProgramMissing(Exception):
    """The program does not exist (127) or cannot be executed (126)."""

    def __init__(self, program: str, exit_code: int) -> None:
        """Say it as a shell does."""
        reason = "command not found" if exit_code == 127 else "Permission denied"
        super().__init__(f"{program}: {reason}")
        self.exit_code = exit_code


def find_program(program: str, search_path: str, directory: str) -> str:
    """Resolve a program name as a shell does; raises `ProgramMissing`."""
    if "/" in program:
        candidates = [os.path.join(directory, program)]
    else:
        candidates = [os.path.join(entry or directory, program) for entry in search_path.split(":")]
    denied = False
    for candidate in candidates:
        if os.path.isfile(candidate):
            if os.access(candidate, os.X_OK):
                return candidate
            denied = True
        denied = denied or (os.path.isdir(candidate) and "/" in program)
    raise ProgramMissing(program, 126 if denied else 127)


def spawn(
    command: list[str],
    environment: dict[str, str],
    directory: Directory,
    descriptors: tuple[int, ...],
    *,
    nice: int = COMMAND_NICE,
) -> Child:
    """Start `command` in a new session of its own, marked.

    `descriptors` become 0, 1, 2 and so on. The more `nice`, the longer it waits for others.
    """
    program = find_program(command[0], environment.get("PATH", ""), directory.path)
    if directory.handle >= 0:
        # A spawn cannot change directory by itself; a shell that replaces itself can. It is
        # given the handle and not the path, which may lead elsewhere by now.
        number = len(descriptors)
        script = f'cd -P /proc/self/fd/{number} || exit 126; exec {number}<&-; exec "$@"'
        command = ["sh", "-c", script, "sh", program, *command[1:]]
        program = "/bin/sh"
        descriptors = (*descriptors, directory.handle)
    actions = [(os.POSIX_SPAWN_DUP2, source, target) for target, source in enumerate(descriptors)]
    try:
        with scored_first:
            pid, marker = _posix_spawn(program, command, environment, actions)
    except OSError as error:
        if error.errno == errno.ENOEXEC:
            script_command = ["sh", program, *command[1:]]
            with scored_first:
                pid, marker = _posix_spawn("/bin/sh", script_command, environment, actions)
        elif error.errno in (errno.ENOENT, errno.EACCES):
            raise ProgramMissing(command[0], 127 if error.errno == errno.ENOENT else 126) from None
        else:
            raise
    except ValueError as error:
        raise ToolFailure("invalid_argument", f"the command cannot be started: {error}") from None
    child = Child(pid, marker)
    run_last(pid, nice)
    return child


def _posix_spawn(
    program: str,
    command: list[str],
    environment: dict[str, str],
    actions: list[tuple[int, int, int]],
) -> tuple[int, str]:
    return start_marked(
        lambda marker: os.posix_spawn(
            program,
            command,
            {**environment, MARKER: marker},
            file_actions=actions,
            setsid=True,
            setsigdef=_RESET_SIGNALS,
            setsigmask=(),
        ),
    )


class Child:
    """One started process, waited for exactly once."""

    def __init__(self, pid: int, marker: str) -> None:
        """Take over `pid`, which nobody else may wait for."""
        self.pid = pid
        self.marker = marker
        self.exit_code: int | None = None
        self._handle = _pidfd(pid)

    @property
    def handle(self) -> int:
        """A descriptor that becomes readable at exit, or -1 where the kernel has none."""
        return self._handle

    def reap(self, *, block: bool) -> int | None:
        """Collect the exit code, 128 + n for signal n; None while it runs and `block` is off."""
        if self.exit_code is None:
            pid, status = os.waitpid(self.pid, 0 if block else os.WNOHANG)
            if pid == 0:
                return None
            code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
            self.exit_code = code
            if self._handle >= 0:
                os.close(self._handle)
                self._handle = -1
        return self.exit_code

    def kill(self) -> None:
        """Kill the process and everything it started; does not wait for the process itself."""
        kill_tree(self.pid if self.exit_code is None else None, self.marker)


def _pidfd(pid: int) -> int:
    try:
        return os.pidfd_open(pid)
    except OSError:
        return -1


def wait_readable(handles: list[int], timeout_s: float | None) -> set[int]:
    """Wait until a descriptor can be read or is at its end; empty after `timeout_s`."""
    poll = select.poll()
    for handle in handles:
        poll.register(handle, select.POLLIN)
    wait_ms = None if timeout_s is None else max(0, int(timeout_s * 1000 + 0.999))
    return {handle for handle, _ in poll.poll(wait_ms)}
