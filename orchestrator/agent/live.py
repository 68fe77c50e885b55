"""The workspace of one turn: commands whose output is seen while they run.

Owns which call a command belongs to, what of its output is shown live, and
which calls ran out of time. Refuses to change what the command returns.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import Final, Protocol, cast, runtime_checkable

from pydantic_ai.workspaces import (
    CommandResult,
    FileEntry,
    SupportsCommands,
    SupportsFilesystem,
    SupportsRealpath,
    WorkspaceBackend,
    WorkspaceCommand,
    WorkspaceRef,
    WorkspaceTimeoutError,
)

from orchestrator.agent.deltas import DeltaBuffer
from orchestrator.domain.limits import COMMAND_TIMEOUT_S, MAX_COMMAND_TIMEOUT_S

MAX_LIVE_BYTES: Final = 262_144
"""Bytes of one call's output that are shown live; the result still has the rest."""

OutputCallback = Callable[[str, bytes], None]
"""Takes `stdout` or `stderr` and a chunk; must not block."""

current_call: ContextVar[str | None] = ContextVar("current_call", default=None)
"""The call whose command is running in this task; None outside of one that shows output."""


@runtime_checkable
class ShowsOutput(Protocol):
    """A workspace that hands on a command's output while it runs, in the task that runs it."""

    on_output: OutputCallback | None


class LiveOutput:
    """Turns chunks of output into events of the call that is running."""

    def __init__(self, turn_id: str, deltas: DeltaBuffer) -> None:
        self._turn_id = turn_id
        self._deltas = deltas
        self._shown: dict[str, int] = {}
        self._decoders: dict[tuple[str, str], codecs.IncrementalDecoder] = {}

    def take(self, stream: str, chunk: bytes) -> None:
        """Take a chunk of the running call; what belongs to none is not shown."""
        call_id = current_call.get()
        if call_id is None or stream not in ("stdout", "stderr"):
            return
        room = MAX_LIVE_BYTES - self._shown.get(call_id, 0)
        if room <= 0:
            return
        self._shown[call_id] = self._shown.get(call_id, 0) + len(chunk)
        text = self._decoder(call_id, stream).decode(chunk[:room])
        if len(chunk) >= room:
            text += "\n[… more output follows; the result has its end …]\n"
        fields = {"turn_id": self._turn_id, "call_id": call_id, "stream": stream}
        self._deltas.put("tool.output", fields, text)

    def _decoder(self, call_id: str, stream: str) -> codecs.IncrementalDecoder:
        key = (call_id, stream)
        if key not in self._decoders:
            self._decoders[key] = codecs.getincrementaldecoder("utf-8")(errors="replace")
        return self._decoders[key]


class LiveWorkspace:
    """A workspace backend that adds live output and remembers timeouts."""

    def __init__(self, backend: WorkspaceBackend, output: LiveOutput) -> None:
        self._backend = backend
        self._commands = cast(SupportsCommands, backend)
        self._files = cast(SupportsFilesystem, backend)
        self._paths = cast(SupportsRealpath, backend)
        if isinstance(backend, ShowsOutput):
            backend.on_output = output.take
        self.timed_out: set[str] = set()
        """Calls of which a command ran out of time."""

    @property
    def ref(self) -> WorkspaceRef | None:
        """The sandbox's identity."""
        return self._backend.ref

    async def working_dir(self) -> str:
        """Return the project's path."""
        return await self._backend.working_dir()

    async def run(
        self,
        command: WorkspaceCommand,
        *,
        shell: bool = False,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> CommandResult:
        """Run a command; `timeout` in seconds, None takes 120, never more than 3,600."""
        seconds = min(timeout or COMMAND_TIMEOUT_S, MAX_COMMAND_TIMEOUT_S)
        call_id = current_call.get()
        try:
            return await self._commands.run(command, shell=shell, env=env, timeout=seconds)
        except WorkspaceTimeoutError:
            if call_id is not None:
                self.timed_out.add(call_id)
            raise

    async def read_bytes(self, path: str) -> bytes:
        """Read a file."""
        return await self._files.read_bytes(path)

    async def write_bytes(self, path: str, data: bytes) -> None:
        """Write a file."""
        await self._files.write_bytes(path, data)

    async def stat(self, path: str) -> FileEntry:
        """Return what is known of a path."""
        return await self._files.stat(path)

    async def list_dir(self, path: str) -> Sequence[FileEntry]:
        """List a directory."""
        return await self._files.list_dir(path)

    async def make_dir(self, path: str) -> None:
        """Create a directory and its parents."""
        await self._files.make_dir(path)

    async def remove(self, path: str) -> None:
        """Remove a file or a directory."""
        await self._files.remove(path)

    async def exists(self, path: str) -> bool:
        """Say whether a path exists."""
        return await self._files.exists(path)

    async def realpath(self, path: str) -> str:
        """Resolve a path inside the sandbox."""
        return await self._paths.realpath(path)
