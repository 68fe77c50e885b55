"""The workspace of one turn: commands whose output is seen while they run, guarded writes.

Owns which call a command belongs to, what of its output is shown live, which calls ran out
of time, and that a tool overwrites only what it knows. Refuses to change what the command
returns, but for a line about a setting that it lacked.
"""

from __future__ import annotations

import codecs
import hashlib
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
from orchestrator.agent.hints import with_hint
from orchestrator.agent.jobs import Jobs, KeepsJobs
from orchestrator.domain.limits import COMMAND_TIMEOUT_S, MAX_COMMAND_TIMEOUT_S

MAX_LIVE_BYTES: Final = 262_144
"""Bytes of one call's output that are shown live; the result still has the rest."""

OutputCallback = Callable[[str, bytes], None]
"""Takes `stdout` or `stderr` and a chunk; must not block."""

current_call: ContextVar[str | None] = ContextVar("current_call", default=None)
"""The call whose command is running in this task; None outside of one that shows output."""


current_tool: ContextVar[str | None] = ContextVar("current_tool", default=None)
"""The tool that is running in this task; None outside of one."""


class Edited(Protocol):
    """What edits would make of a file."""

    @property
    def present(self) -> bytes:
        """The whole content now."""
        ...

    @property
    def changed(self) -> bytes:
        """The whole content afterwards."""
        ...


@runtime_checkable
class KnowsFiles(Protocol):
    """A workspace that remembers what the agent has read, and writes over nothing else."""

    async def read_seen(self, path: str) -> bytes:
        """Read a file that the agent is shown."""
        ...

    async def write_expected(self, path: str, data: bytes, expected: str) -> None:
        """Write a file whose content has the hash `expected`, or for `seen` was last read."""
        ...

    async def preview_edits(
        self, path: str, edits: Sequence[tuple[str, str]]
    ) -> Edited | str | None:
        """Return what edits would do, why they are ambiguous, or None when they fail."""
        ...


@runtime_checkable
class KeepsShells(Protocol):
    """A workspace with shells that stay between commands, and commands of any output."""

    async def run_capped(
        self,
        command: WorkspaceCommand,
        *,
        shell: bool = False,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> CommandResult:
        """Run a command; of too much output head and tail are kept, the cut marked."""
        ...

    async def run_in_shell(
        self, command: str, name: str, timeout: float, *, reset: bool = False
    ) -> tuple[CommandResult, str | None]:
        """Run a command in the shell `name`; returns its result and, while it lives, directory."""
        ...


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
        self.knows = backend if isinstance(backend, KnowsFiles) else None
        """The backend where it guards what the agent has not read; None where it cannot."""
        self._shells = backend if isinstance(backend, KeepsShells) else None
        self.jobs: Jobs | None = backend.jobs if isinstance(backend, KeepsJobs) else None
        """The session's background jobs; None where there are none."""
        self.show = output.take
        """Takes `stdout` or `stderr` and a chunk, to be shown as output of the running call."""
        self._edited: dict[str, str] = {}
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
            # A search needs all of its output or an error; who reads a command's does not.
            run = self._commands.run
            if self._shells is not None and current_tool.get() == "run_command":
                run = self._shells.run_capped
            done = await run(command, shell=shell, env=env, timeout=seconds)
        except WorkspaceTimeoutError:
            if call_id is not None:
                self.timed_out.add(call_id)
            raise
        return with_hint(done)

    @property
    def keeps_shells(self) -> bool:
        """Whether there are shells that stay."""
        return self._shells is not None

    async def run_in_shell(
        self, command: str, name: str, timeout: float | None, *, reset: bool = False
    ) -> tuple[CommandResult, str | None]:
        """Run a command in a shell that stays; `timeout` as for `run`."""
        assert self._shells is not None
        seconds = min(timeout or COMMAND_TIMEOUT_S, MAX_COMMAND_TIMEOUT_S)
        call_id = current_call.get()
        try:
            done, directory = await self._shells.run_in_shell(command, name, seconds, reset=reset)
        except WorkspaceTimeoutError:
            if call_id is not None:
                self.timed_out.add(call_id)
            raise
        return with_hint(done), directory

    async def read_bytes(self, path: str) -> bytes:
        """Read a file; what `read_file` reads, the agent may overwrite."""
        tool = current_tool.get()
        if self.knows is not None and tool == "read_file":
            return await self.knows.read_seen(path)
        data = await self._files.read_bytes(path)
        if tool == "edit_file":
            self._edited[path] = hashlib.sha256(data).hexdigest()
        return data

    async def write_bytes(self, path: str, data: bytes) -> None:
        """Write a file; `write_file` over what was read, `edit_file` over what it edited."""
        tool = current_tool.get()
        if self.knows is None or tool not in ("write_file", "edit_file"):
            await self._files.write_bytes(path, data)
        else:
            expected = "seen" if tool == "write_file" else self._edited.pop(path, "seen")
            await self.knows.write_expected(path, data, expected)

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
