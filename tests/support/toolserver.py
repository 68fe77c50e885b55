"""The tool server as an ordinary process on a unix socket in a directory of its own.

Isolates nothing: it is for tests of the server's behaviour and of its clients.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import sandbox_image

PACKAGE = Path(sandbox_image.__file__).parent
SERVER = PACKAGE / "toolserver"
LUPA_COMMAND = (
    sys.executable,
    str(PACKAGE / "lua" / "lupa_runner.py"),
    str(PACKAGE / "lua" / "prelude.lua"),
)
_START_TIMEOUT_S = 20.0


def lua_command() -> tuple[str, ...]:
    """The system's interpreter where there is one, otherwise the one in the `lupa` wheel."""
    program = shutil.which("lua5.4")
    return (program, str(PACKAGE / "lua" / "prelude.lua")) if program else LUPA_COMMAND


def _interpreter() -> list[str]:
    """Python as a sandbox runs it; with site packages only where coverage is being measured."""
    if any(name.startswith("COVERAGE_PROCESS") for name in os.environ):
        return [sys.executable]
    return [sys.executable, "-I", "-S", "-E"]


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
    search_path = os.pathsep.join([str(Path(sys.executable).parent), os.defpath])
    return {"PATH": search_path, "LANG": "C.UTF-8", **kept}


@dataclass
class ToolServer:
    """One running server."""

    root: Path
    socket_path: Path
    process: subprocess.Popen[bytes]
    _base: Path = field(repr=False)

    @classmethod
    def start(
        cls,
        *,
        limits: dict[str, int] | None = None,
        allowance: dict[str, int] | None = None,
        lua: tuple[str, ...] | None = None,
        environment: dict[str, str] | None = None,
        handover: str | None = None,
    ) -> ToolServer:
        """Start a server on an empty project and wait until it listens."""
        # Not pytest's own directory: the path of a unix socket may have 107 bytes only.
        base = Path(os.path.realpath(tempfile.mkdtemp(prefix="jido-ts-")))
        root, socket_path = base / "project", base / "socket"
        root.mkdir()
        command = [*_interpreter(), str(SERVER), "--root", str(root), "--unix", str(socket_path)]
        command += ["--lua-command", *(lua_command() if lua is None else lua)]
        command += ["--limits", json.dumps(limits)] if limits else []
        command += ["--allowance", json.dumps(allowance)] if allowance else []
        command += ["--handover", handover] if handover else []
        environment = {**_environment(), **(environment or {})}
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)
        server = cls(root, socket_path, process, base)
        try:
            server._await_listening()
        except BaseException:
            server.stop()
            raise
        return server

    def _await_listening(self) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline:
            assert self.process.poll() is None, "the tool server ended at its start"
            try:
                self.connect().close()
                return
            except OSError:
                time.sleep(0.005)
        raise AssertionError("the tool server did not start to listen")

    def connect(self) -> RawClient:
        """Open a connection of plain sockets."""
        return RawClient(self.socket_path)

    def kill(self) -> None:
        """Kill the server as a crash would, and its project with it."""
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.root, ignore_errors=True)

    def stop(self) -> None:
        """End the server and remove its directory."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self._base, ignore_errors=True)


@contextmanager
def running(**options: Any) -> Iterator[ToolServer]:
    """A server for the length of a block."""
    server = ToolServer.start(**options)
    try:
        yield server
    finally:
        server.stop()


@dataclass(frozen=True)
class RawReply:
    """A reply, or a stream frame, as it came over the wire."""

    header: dict[str, Any]
    payload: bytes

    @property
    def result(self) -> dict[str, Any]:
        """The result of a reply that must be a success."""
        assert self.header.get("ok") is True, self.header
        result: dict[str, Any] = self.header["result"]
        return result

    @property
    def code(self) -> str:
        """The code of a reply that must be a failure."""
        assert self.header.get("ok") is False, (self.header, self.payload[:200])
        code: str = self.header["error"]["code"]
        return code

    @property
    def json(self) -> Any:
        """The payload as JSON."""
        return json.loads(self.payload)


class RawClient:
    """A client without any of the product's code, one request at a time."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(60)
        try:
            self.socket.connect(str(path))
        except OSError:
            self.socket.close()
            raise
        self._file = self.socket.makefile("rb")
        self.hello = self.receive().header
        self._last_id = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._file.close()
        self.socket.close()

    def send(self, operation: str, payload: bytes = b"", **arguments: Any) -> int:
        """Send a request; returns its identifier."""
        self._last_id += 1
        header: dict[str, Any] = {"id": self._last_id, "op": operation, "args": arguments}
        if payload:
            header["bytes"] = len(payload)
        self.socket.sendall(json.dumps(header).encode() + b"\n" + payload)
        return self._last_id

    def send_raw(self, data: bytes) -> None:
        """Send bytes that need not be a frame."""
        self.socket.sendall(data)

    def receive(self) -> RawReply:
        """Read one frame; raises `EOFError` at the end."""
        line = self._file.readline()
        if not line:
            raise EOFError
        header = json.loads(line)
        return RawReply(header, self._file.read(header.get("bytes", 0)))

    def call(self, operation: str, payload: bytes = b"", **arguments: Any) -> RawReply:
        """Run one operation and return its final reply, leaving stream frames out."""
        identity = self.send(operation, payload, **arguments)
        while True:
            reply = self.receive()
            if "stream" not in reply.header and reply.header.get("id") == identity:
                return reply
