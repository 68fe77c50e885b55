"""Starting a stack as a process of its own, and using one that runs.

Owns the hand-over: the starter takes the lock and binds the port, so that both can
fail in front of the person who asked, and the stack inherits them.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import sys
import time
from types import TracebackType
from typing import IO, Final

from orchestrator.local.control import use_stack
from orchestrator.local.errors import PortInUse, StackFailed, StackRunning
from orchestrator.local.home import ensure_token, lock_stack
from orchestrator.local.state import StackState, is_alive, process_start, read_state
from orchestrator.settings import Settings

_CHANGE_S: Final = 40.0
"""Seconds to wait for a stack that is just starting or stopping."""
_STARTED_S: Final = 90.0
"""Seconds a stack may take until it says that it is ready."""
_STOPPED_S: Final = 60.0
"""Seconds a stack may take to save its sessions and end."""
_MAX_LINE_BYTES: Final = 8192
_SILENT_END: Final = "The stack ended before it was ready. Its logs are in $JIDO_HOME/logs."


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket on `port`, 0 takes a free one; raises PortInUse."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(1024)
    except (OSError, OverflowError) as error:
        listener.close()
        cause = getattr(error, "strerror", None) or str(error)
        raise PortInUse(
            f"Port {port} of {host} cannot be used: {cause}. Choose another with --port N, "
            "or end what listens there."
        ) from error
    return listener


def take_lock(settings: Settings) -> int:
    """Return the lock of this home's stack.

    Waits while another one is starting or stopping; raises StackRunning when one runs.
    """
    deadline = time.monotonic() + _CHANGE_S
    while True:
        lock = lock_stack(settings)
        if lock is not None:
            return lock
        state = read_state(settings)
        if state is not None:
            raise StackRunning(f"The stack of {settings.home} already runs.", url=state.url)
        if time.monotonic() > deadline:
            raise StackFailed(
                f"Another stack of {settings.home} neither starts nor ends. "
                "Look for a process that holds stack.lock there."
            )
        time.sleep(0.05)


class OwnStack:
    """A stack started by this process, tied to it by a pipe."""

    def __init__(self, process: subprocess.Popen[bytes], output: IO[bytes]) -> None:
        """Hold the process and the end of its standard output that tells how it fares."""
        self.process = process
        self._output = output
        self._unread = b""

    def wait_ready(self) -> None:
        """Wait until it takes requests; raises StackFailed with the reason it gave."""
        word, _, rest = self._line(_STARTED_S).partition(" ")
        if word != "ready":
            self.close()
            raise StackFailed(rest or _SILENT_END)

    def reason(self) -> str:
        """Return why it has ended, of what it said before."""
        while line := self._line(0.2):
            if line.startswith("failed "):
                return line.removeprefix("failed ")
        return _SILENT_END

    def close(self) -> None:
        """Let go of it; it saves its sessions and ends, unless others use it."""
        if self.process.stdin is not None:
            with contextlib.suppress(OSError):
                self.process.stdin.close()

    def wait_ended(self) -> None:
        """Wait until it has ended, or has said that others use it."""
        deadline = time.monotonic() + _STOPPED_S
        while line := self._line(max(0.0, deadline - time.monotonic())):
            if line == "kept":
                return
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(max(0.0, deadline - time.monotonic()))

    def _line(self, timeout_s: float) -> str:
        """Return the next line without its end; empty at the end or after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._unread and len(self._unread) < _MAX_LINE_BYTES:
            left = max(0.0, deadline - time.monotonic())
            if not select.select([self._output], [], [], left)[0]:
                return ""
            chunk = os.read(self._output.fileno(), 1024)
            if not chunk:
                break
            self._unread += chunk
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode(errors="replace").strip()


class Lease:
    """Use of a running stack: it does not end while the lease is held."""

    def __init__(self, url: str, own: OwnStack | None, held: socket.socket | None) -> None:
        """Hold either a stack of our own or a connection to somebody's."""
        self.url = url
        self.own = own
        self._held = held

    def __enter__(self) -> Lease:
        """Return the lease itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the stack back; one of our own has ended afterwards unless others use it."""
        self.release()

    def failure(self) -> str | None:
        """Return why a stack of our own has ended by itself; None when it has not."""
        if self.own is None or self.own.process.poll() is None:
            return None
        return self.own.reason()

    def release(self) -> None:
        """Give the stack back."""
        if self._held is not None:
            self._held.close()
        if self.own is not None:
            self.own.close()
            self.own.wait_ended()


def join_stack(settings: Settings) -> Lease | None:
    """Return a lease of the stack that runs on this home; None when none does."""
    state = read_state(settings)
    if state is None:
        return None
    held = use_stack(state.control)
    return Lease(state.url, None, held) if held is not None else None


def start_stack(
    settings: Settings, port: int, environment: dict[str, str], *, fall_back: bool = False
) -> Lease:
    """Start a stack that ends with us; returns at once, its port already takes connections.

    `fall_back` takes a free port when `port` is in use. Raises StackRunning, PortInUse,
    HomeUnusable.
    """
    ensure_token(settings)
    lock = take_lock(settings)
    try:
        with _listen_or_any(settings.host, port, fall_back) as listener:
            process = spawn(lock, listener, environment, tied=True)
            host, bound = listener.getsockname()[:2]
    finally:
        os.close(lock)
    if process.stdout is None:
        raise StackFailed("The stack has no output.")
    return Lease(f"http://{host}:{bound}", OwnStack(process, process.stdout), None)


def spawn(
    lock: int, listener: socket.socket, environment: dict[str, str], *, tied: bool
) -> subprocess.Popen[bytes]:
    """Start the process of a stack that inherits the lock and the listening socket."""
    command = [sys.executable, "-m", "orchestrator.local.main"]
    command += ["--lock-fd", str(lock), "--listen-fd", str(listener.fileno())]
    return subprocess.Popen(
        command + (["--tied"] if tied else []),
        stdin=subprocess.PIPE if tied else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        pass_fds=(lock, listener.fileno()),
        env={**os.environ, **environment, "PYTHONSAFEPATH": "1"},
        # Ctrl+C in our terminal must not reach it: it ends when we let go.
        start_new_session=True,
    )


def start_detached(settings: Settings, port: int, environment: dict[str, str]) -> str:
    """Start a stack that outlives us, wait until it is ready and return its URL.

    Raises StackRunning, PortInUse, HomeUnusable, StackFailed.
    """
    ensure_token(settings)
    lock = take_lock(settings)
    try:
        with listen(settings.host, port) as listener:
            process = spawn(lock, listener, environment, tied=False)
            bound = listener.getsockname()[1]
    finally:
        os.close(lock)
    if process.stdout is None:
        raise StackFailed("The stack has no output.")
    OwnStack(process, process.stdout).wait_ready()
    return f"http://{settings.host}:{bound}"


def stop_stack(settings: Settings) -> bool:
    """Stop the stack of this home and wait until it has ended; False when none runs.

    Raises StackFailed when it does not end.
    """
    state = read_state(settings)
    if state is None:
        return False
    _ask_to_stop(state)
    deadline = time.monotonic() + _STOPPED_S
    while is_alive(state):
        if time.monotonic() > deadline:
            raise StackFailed(f"The stack, process {state.pid}, does not end. See its logs.")
        time.sleep(0.05)
    return True


def _ask_to_stop(state: StackState) -> None:
    held = use_stack(state.control)
    if held is not None:
        with held, contextlib.suppress(OSError):
            held.sendall(b"stop\n")
            return
    if process_start(state.pid) == state.started:
        with contextlib.suppress(ProcessLookupError):
            os.kill(state.pid, 15)


def _listen_or_any(host: str, port: int, fall_back: bool) -> socket.socket:
    try:
        return listen(host, port)
    except PortInUse:
        if not fall_back:
            raise
        return listen(host, 0)
