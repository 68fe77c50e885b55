"""The Lua interpreter of the sandbox: one process, started at first use, replaced at a limit.

Memory is limited by the kernel, time by this side's clock, instructions and output by the
prelude, which ends its process instead of raising what a script could catch.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import threading
import time

from sandbox_image.toolserver.errors import ToolFailure
from sandbox_image.toolserver.priorities import SCRIPT_NICE
from sandbox_image.toolserver.processes import ProgramMissing, spawn
from sandbox_image.toolserver.requests import Request
from sandbox_image.toolserver.roots import Directory
from sandbox_image.toolserver.wire import (
    FrameReader,
    MalformedFrame,
    payload_length,
    send_frame,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Execute = Callable[[Request], "tuple[dict[str, object], bytes]"]

_MESSAGES = {
    "lua_instructions": "the script ran more instructions than it may",
    "lua_memory": "the script used more memory than it may",
    "lua_timeout": "the script took longer than it may",
    "lua_output": "the script printed or returned more than it may",
    "lua_error": "the interpreter ended unexpectedly",
    "cancelled": "the script was cancelled",
}


_LIMITS = {"instructions": "lua_instructions", "memory": "lua_memory", "output": "lua_output"}
"""What the prelude says that it ended for, and the code of it."""


class InterpreterLimits:
    """What one script may use."""

    def __init__(
        self,
        memory_bytes: int = 256 * 1024 * 1024,
        instructions: int = 500_000_000,
        output_bytes: int = 1024 * 1024,
        result_bytes: int = 4 * 1024 * 1024,
    ) -> None:
        """Bytes of data of the process; instructions, printed bytes and result bytes of one run."""
        self.memory_bytes = memory_bytes
        self.instructions = instructions
        self.output_bytes = output_bytes
        self.result_bytes = result_bytes

    @classmethod
    def parse(cls, values: dict[str, object]) -> InterpreterLimits:
        """Read limits from JSON; raises `ValueError` for an unknown name or no positive count."""
        limits = cls()
        for name, value in values.items():
            if not name.startswith("lua_") or not hasattr(limits, name[4:]):
                raise ValueError(f"unknown limit {name!r}")
            if type(value) is not int or value <= 0:
                raise ValueError(f"{name} must be a positive count")
            setattr(limits, name[4:], value)
        return limits


class _DeadlineSocket:
    """A socket whose reads fail when the script's time is over."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.deadline = 0.0

    def _left(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def recv(self, length: int) -> bytes:
        self._connection.settimeout(self._left())
        return self._connection.recv(length)

    def recv_into(self, view: memoryview) -> int:
        self._connection.settimeout(self._left())
        return self._connection.recv_into(view)


class _Process:
    """One running interpreter."""

    def __init__(self, command: list[str], environment: dict[str, str], root: str) -> None:
        ours, theirs = socket.socketpair()
        null = os.open(os.devnull, os.O_WRONLY)
        try:
            streams = (theirs.fileno(), theirs.fileno(), null)
            self.child = spawn(command, environment, Directory(root), streams, nice=SCRIPT_NICE)
        except ProgramMissing as missing:
            ours.close()
            raise ToolFailure("lua_unavailable", f"no Lua interpreter here: {missing}") from None
        finally:
            theirs.close()
            os.close(null)
        self.connection = ours
        self.bounded = _DeadlineSocket(ours)
        self.reader = FrameReader(self.bounded)

    def limit(self, memory_bytes: int) -> None:
        """Let the kernel refuse memory beyond the limit, and cores altogether."""
        try:
            resource.prlimit(self.child.pid, resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
            resource.prlimit(self.child.pid, resource.RLIMIT_CORE, (0, 0))
        except ProcessLookupError:
            # It has ended already; reading from it will say so.
            return

    def end(self) -> int:
        """Kill and reap; returns the exit code it had, 137 when it was still alive."""
        code = self.child.reap(block=False)
        if code is None:
            self.child.kill()
            code = self.child.reap(block=True)
        self.connection.close()
        return code or 0


class Interpreter:
    """The sandbox's interpreter; scripts run one after another and share their globals."""

    def __init__(
        self, command: list[str], environment: dict[str, str], root: str, limits: InterpreterLimits
    ) -> None:
        """Start nothing yet."""
        self._command = command
        self._environment = environment
        self._root = root
        self._limits = limits
        self._process: _Process | None = None
        self._turn = threading.Lock()
        self._reset = False

    @property
    def marker(self) -> str | None:
        """Marker of the running interpreter, None while there is none."""
        process = self._process
        return None if process is None else process.child.marker

    def reset(self) -> None:
        """Forget all globals: the next script starts in a fresh interpreter."""
        self._reset = True

    def close(self) -> None:
        """Kill the process, if there is one, whoever may be using it."""
        process = self._process
        if process is not None:
            process.child.kill()

    def end(self) -> None:
        """Kill and reap the process, if there is one; nobody may be using it."""
        process, self._process = self._process, None
        if process is not None:
            process.end()

    def run(
        self,
        request: Request,
        timeout_s: float,
        execute: Execute,
        name: str,
        more: dict[str, object] | None = None,
    ) -> tuple[dict[str, object], bytes]:
        """Run one script; a script's own failure is a result, not an exception.

        `more` is what the interpreter is told beside the name: see `project_tools`.
        Raises `busy` when earlier scripts used up the time, `lua_unavailable`, `cancelled`.
        """
        deadline = time.monotonic() + timeout_s
        if not self._turn.acquire(timeout=timeout_s):
            raise ToolFailure("busy", "another script is still running")
        try:
            started = time.monotonic()
            process, fresh = self._ready()
            process.bounded.deadline = deadline
            run = _Run(process, request, execute, self._limits)
            code = run.follow({"name": name[:200], **(more or {})}, deadline)
            if code is not None:
                self._process = None
            result = run.result(code)
            result["fresh"] = fresh
            result["elapsed_ms"] = round((time.monotonic() - started) * 1000, 3)
            return result, run.value + bytes(run.output)
        finally:
            self._turn.release()

    def _ready(self) -> tuple[_Process, bool]:
        """Return a live interpreter and whether it was started now."""
        if self._reset and self._process is not None:
            self._process.end()
            self._process = None
        self._reset = False
        if self._process is not None and self._process.child.reap(block=False) is None:
            return self._process, False
        process = _Process(self._command, self._environment, self._root)
        process.limit(self._limits.memory_bytes)
        limits = self._limits
        settings: dict[str, object] = {
            "instructions": limits.instructions,
            "output_bytes": limits.output_bytes,
        }
        send_frame(process.connection, settings)
        self._process = process
        return process, True


class _Run:
    """One script from start to result."""

    def __init__(
        self, process: _Process, request: Request, execute: Execute, limits: InterpreterLimits
    ) -> None:
        self._process = process
        self._request = request
        self._execute = execute
        self._limits = limits
        self.output = bytearray()
        self.value = b""
        self._sound = False
        self._message = ""

    def follow(self, told: dict[str, object], deadline: float) -> str | None:
        """Serve the script's calls until it is done; returns the code of a fatal limit."""
        process, request = self._process, self._request
        request.on_cancel(process.child.kill)
        code = "lua_error"
        try:
            process.connection.settimeout(max(0.001, deadline - time.monotonic()))
            send_frame(process.connection, told, request.payload)
            while (header := process.reader.header()) is not None:
                payload = process.reader.payload(payload_length(header))
                if "done" in header:
                    return self._finish(header, payload)
                if "limit" in header:
                    code = _LIMITS.get(str(header["limit"]), "lua_error")
                    break
                self._serve(header, payload, deadline)
        except TimeoutError:
            code = "lua_timeout"
        except (MalformedFrame, OSError, ToolFailure):
            # Whatever it wrote, or however it ended: it is replaced.
            code = "lua_error"
        finally:
            request.on_cancel(None)
        return self._end(code)

    def _end(self, code: str) -> str:
        exit_code = self._process.end()
        if self._request.cancelled:
            raise ToolFailure("cancelled", _MESSAGES["cancelled"])
        if code == "lua_error" and exit_code in (128 + signal.SIGSEGV, 128 + signal.SIGABRT):
            code = "lua_memory"
        return code

    def _finish(self, header: dict[str, object], payload: bytes) -> str | None:
        self._sound = header.get("ok") is True
        if not self._sound:
            self._message = payload[:8192].decode("utf-8", "replace")
        elif len(payload) > self._limits.result_bytes:
            return self._end("lua_output")
        else:
            self.value = payload
        return None

    def _serve(self, header: dict[str, object], payload: bytes, deadline: float) -> None:
        if "print" in header:
            if len(self.output) + len(payload) <= self._limits.output_bytes:
                self.output += payload
            return
        operation, arguments = header.get("call"), header.get("args")
        if not isinstance(operation, str) or not isinstance(arguments, dict):
            raise MalformedFrame("neither a call nor a result")
        if operation in NOT_FOR_SCRIPTS:
            raise MalformedFrame("not an operation for scripts")
        if deadline <= time.monotonic():
            raise TimeoutError
        inner = Request(operation, arguments, payload, lambda _, __: None)
        inner.deadline = deadline
        self._request.on_cancel(lambda: self._cancel(inner))
        reply, data = self._call(inner)
        self._request.on_cancel(self._process.child.kill)
        self._process.connection.settimeout(max(0.001, deadline - time.monotonic()))
        send_frame(self._process.connection, reply, data)

    def _cancel(self, inner: Request) -> None:
        inner.cancel()
        self._process.child.kill()

    def _call(self, inner: Request) -> tuple[dict[str, object], bytes]:
        try:
            result, data = self._execute(inner)
        except ToolFailure as failure:
            return {"ok": False, "message": failure.message, "code": failure.code}, b""
        return {"ok": True, "result": result}, data

    def result(self, code: str | None) -> dict[str, object]:
        """Describe how it went; the payload of the reply is the value, then the output."""
        error: dict[str, object] | None = None
        if code is not None:
            error = {"code": code, "message": _MESSAGES[code]}
        elif not self._sound:
            error = {"code": "lua_error", "message": self._message}
        return {
            "ok": error is None,
            "error": error,
            "value_bytes": len(self.value),
            "output_bytes": len(self.output),
        }


NOT_FOR_SCRIPTS = frozenset(("ping", "limits", "lua", "lua_reset", "tool_files", "tool_describe"))
"""Operations a script cannot call: a script that runs scripts would wait for itself, the
project's tools it has as `jido.tools`, and the counts of limits are the supervisor's."""
