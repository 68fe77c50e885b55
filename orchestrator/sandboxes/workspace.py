"""The workspace of pydantic-ai over a sandbox's channel.

Translates between its protocols and the tool server's operations, and between both sides'
errors. Never starts or stops a sandbox: that is the supervisor's.
"""

from __future__ import annotations

import asyncio
import errno
import os
import posixpath
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from pydantic_ai.workspaces import (
    CommandResult,
    FileEntry,
    SupportsCommands,
    SupportsFilesystem,
    SupportsRealpath,
    WorkspaceBackend,
    WorkspaceCommand,
    WorkspaceError,
    WorkspaceOutputLimitError,
    WorkspaceRef,
    WorkspaceTimeoutError,
    WorkspaceUnavailableError,
)

from orchestrator.sandboxes import results
from orchestrator.sandboxes.channel import Channel
from orchestrator.sandboxes.connecting import PATIENCE_S, connect
from orchestrator.sandboxes.errors import (
    ChannelClosed,
    InvalidArgument,
    TooLarge,
    ToolError,
    ToolTimeout,
)
from orchestrator.sandboxes.frames import MAX_PAYLOAD_BYTES
from orchestrator.sandboxes.replies import Reply
from orchestrator.sandboxes.results import Captured

PROVIDER: Final = "jido"
"""The provider name of the references of these workspaces; their id is the session's."""

MAX_OUTPUT_BYTES: Final = 7 * 1024 * 1024
"""Bytes of each output stream of a command; more is an error, never a silent cut."""

MAX_FILE_BYTES: Final = 64 * 1024 * 1024
"""Bytes of a file that is read into memory."""

MAX_TIMEOUT_S: Final = 3600.0
"""Seconds of a command at most; a longer wish is cut to this."""

_PREVIEW_BYTES: Final = 64 * 1024
_FILE_TIMEOUT_S: Final = 30.0
_TIMEOUT_GRACE_S: Final = 10.0
_MAX_INLINE_CHARACTERS: Final = 8 * 1024
_MAX_INLINE_WORDS: Final = 200

OnOutput = Callable[[str, bytes], Awaitable[None] | None]

_BUILTIN: Final[dict[str, tuple[type[OSError], int]]] = {
    "not_found": (FileNotFoundError, errno.ENOENT),
    "is_directory": (IsADirectoryError, errno.EISDIR),
    "not_directory": (NotADirectoryError, errno.ENOTDIR),
    "exists": (FileExistsError, errno.EEXIST),
    "permission_denied": (PermissionError, errno.EACCES),
    "outside_project": (PermissionError, errno.EPERM),
    "read_only": (PermissionError, errno.EROFS),
    "not_regular": (OSError, errno.EINVAL),
    "link_loop": (OSError, errno.ELOOP),
    "busy": (OSError, errno.EBUSY),
    "too_large": (OSError, errno.EFBIG),
}
"""The builtin error for each code that is about a path.

A limit that was reached is none of them: the agent is told of it and goes on.
"""


def translate(error: ToolError | ChannelClosed, path: str) -> Exception:
    """The error pydantic-ai expects for one of ours about `path`."""
    if isinstance(error, ChannelClosed):
        return WorkspaceUnavailableError(error.detail)
    if isinstance(error, InvalidArgument):
        return ValueError(error.detail)
    builtin = _BUILTIN.get(error.wire_code)
    if builtin is None:
        return WorkspaceError(error.detail)
    kind, number = builtin
    return kind(number, error.detail, path) if path else kind(number, error.detail)


class SandboxWorkspace(WorkspaceBackend, SupportsCommands, SupportsFilesystem, SupportsRealpath):
    """One session's project, reached through the unix socket of its sandbox.

    Connects at the first operation. The sandbox must exist: a socket that nobody serves even
    after a moment, or a sandbox that dies, is `WorkspaceUnavailableError`.
    """

    def __init__(
        self,
        socket_path: str,
        session_id: str,
        *,
        on_output: OnOutput | None = None,
        environment: Mapping[str, str] | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Do no I/O.

        `on_output` is called with the output of every command as it appears. `environment`
        is added to that of every command; nothing secret belongs there. `patience_s` is how long
        connecting waits for a channel that is away; 0 means one attempt.
        """
        self._socket_path = socket_path
        self._session_id = session_id
        self._on_output = on_output
        self._environment = dict(environment or {})
        self._patience_s = patience_s
        self._channel: Channel | None = None
        self._connecting = asyncio.Lock()
        self._ref: WorkspaceRef | None = None

    @property
    def ref(self) -> WorkspaceRef | None:
        """The session's reference, once the sandbox has been reached."""
        return self._ref

    @property
    def on_output(self) -> OnOutput | None:
        """What receives the output of commands as it appears."""
        return self._on_output

    @on_output.setter
    def on_output(self, callback: OnOutput | None) -> None:
        self._on_output = callback

    async def channel(self) -> Channel:
        """The connection, made at first use; raises `WorkspaceUnavailableError`."""
        channel = self._channel
        if channel is not None and not channel.closed:
            return channel
        async with self._connecting:
            if self._channel is None or self._channel.closed:
                try:
                    self._channel = await connect(self._socket_path, patience_s=self._patience_s)
                except ChannelClosed as error:
                    raise WorkspaceUnavailableError(error.detail) from None
                self._ref = self._ref or WorkspaceRef(provider=PROVIDER, id=self._session_id)
            return self._channel

    async def aclose(self) -> None:
        """Close the connection; the sandbox stays."""
        if self._channel is not None:
            await self._channel.aclose()

    async def _call(
        self, operation: str, path: str, payload: bytes = b"", **arguments: Any
    ) -> Reply:
        channel = await self.channel()
        arguments["path"] = path
        return await channel.request(operation, arguments, payload, timeout_s=_FILE_TIMEOUT_S)

    async def working_dir(self) -> str:
        """The project directory."""
        root = (await self.channel()).hello.root
        try:
            await self._call("stat", root)
        except (ToolError, ChannelClosed):
            raise WorkspaceUnavailableError("the project directory is gone") from None
        return root

    async def read_bytes(self, path: str) -> bytes:
        """Read a whole file of at most `MAX_FILE_BYTES`."""
        return await self._read(path)

    async def _read(self, path: str, **arguments: Any) -> bytes:
        with Translated(path):
            reply = await self._call("read", path, raw=True, **arguments)
            parts, have = [reply.payload], len(reply.payload)
            size = results.integer(reply.result, "size")
            # A file of the system may call itself empty and hold something all the same.
            while reply.payload and (have < size or len(reply.payload) == MAX_PAYLOAD_BYTES):
                if max(size, have) > MAX_FILE_BYTES:
                    raise OSError(errno.EFBIG, f"larger than {MAX_FILE_BYTES} bytes", path)
                reply = await self._call("read", path, raw=True, start=have)
                parts.append(reply.payload)
                have += len(reply.payload)
            return parts[0] if len(parts) == 1 else b"".join(parts)

    async def write_bytes(self, path: str, data: bytes) -> None:
        """Write a file of at most 16 MiB, atomically."""
        if len(data) > MAX_PAYLOAD_BYTES:
            raise OSError(errno.EFBIG, f"larger than {MAX_PAYLOAD_BYTES} bytes", path)
        with Translated(path):
            await self._call("write", path, data, hash=False)

    async def stat(self, path: str) -> FileEntry:
        """Metadata of what a path leads to."""
        with Translated(path):
            result = (await self._call("stat", path)).result
            return FileEntry(
                name=posixpath.basename(path.rstrip("/")),
                path=path,
                is_dir=results.text(result, "type") == "directory",
                size=results.optional_integer(result, "size"),
            )

    async def list_dir(self, path: str) -> Sequence[FileEntry]:
        """Entries of a directory by name."""
        with Translated(path):
            rows = results.json_rows(await self._call("list", path))
            return [_entry(path, row) for row in rows]

    async def make_dir(self, path: str) -> None:
        """Create a directory and its parents."""
        with Translated(path):
            await self._call("make_dir", path)

    async def remove(self, path: str) -> None:
        """Remove a file or a tree, never the project directory or what holds it."""
        with Translated(path):
            await self._call("remove", path)

    async def exists(self, path: str) -> bool:
        """Whether a path leads to something."""
        with Translated(path):
            return results.flag((await self._call("exists", path)).result, "exists")

    async def realpath(self, path: str) -> str:
        """Where a path leads, in the sandbox."""
        with Translated(path):
            return results.text((await self._call("realpath", path)).result, "path")

    async def run(
        self,
        command: WorkspaceCommand,
        *,
        shell: bool = False,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> CommandResult:
        """Run a command in the project directory; see the protocol for its rules."""
        kept = {"keep_bytes": MAX_OUTPUT_BYTES, "stop_at_limit": True}
        return await self._run_keeping(kept, command, shell, env, timeout)

    async def _run_keeping(
        self,
        kept: dict[str, Any],
        command: WorkspaceCommand,
        shell: bool,
        env: Mapping[str, str] | None,
        timeout: float | None,
    ) -> CommandResult:
        arguments, payload = command_arguments(command, shell)
        arguments.update(kept)
        arguments["env"] = {**self._environment, **(env or {})}
        if timeout is not None:
            if not 0 < timeout < float("inf"):
                raise ValueError("timeout must be a positive finite number or None")
            arguments["timeout_s"] = min(timeout, MAX_TIMEOUT_S)
        try:
            reply = await self._run(arguments, payload, timeout)
            output = results.output_of(reply.result, reply.payload)
            code = results.integer(reply.result, "exit_code")
        except (ToolError, ChannelClosed) as error:
            raise command_error(error, timeout) from None
        return CommandResult(
            exit_code=code, stdout=decode(output.stdout), stderr=decode(output.stderr)
        )

    async def _run(self, arguments: dict[str, Any], payload: bytes, timeout: float | None) -> Reply:
        channel = await self.channel()
        # The sandbox keeps the time; ours only ends the wait for one that does not.
        patience_s = None if timeout is None else timeout + _TIMEOUT_GRACE_S
        if self._on_output is None:
            return await channel.request("run", arguments, payload, timeout_s=patience_s)
        arguments["stream"] = True
        return await channel.stream(
            "run", arguments, self._on_output, payload, timeout_s=patience_s
        )


class Translated:
    """Turns our errors about a path into those pydantic-ai expects."""

    __slots__ = ("_path",)

    def __init__(self, path: str) -> None:
        """Name the path that the errors are about."""
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, (ToolError, ChannelClosed)):
            raise translate(error, self._path) from None


def _entry(directory: str, row: dict[str, Any]) -> FileEntry:
    name = results.text(row, "name")
    if "/" in name or name in ("", ".", ".."):
        raise results.wrong()
    return FileEntry(
        name=name,
        path=posixpath.join(directory, name),
        is_dir=results.flag(row, "is_dir"),
        size=results.optional_integer(row, "size"),
    )


def command_arguments(command: WorkspaceCommand, shell: bool) -> tuple[dict[str, Any], bytes]:
    """A command as arguments, or as payload when it is too long for them; raises ValueError."""
    if isinstance(command, str):
        if not shell:
            raise TypeError("a string command requires shell=True; pass an argv sequence otherwise")
        words = ["/bin/sh", "-c", command]
    elif shell:
        raise TypeError("an argv sequence cannot be combined with shell=True; pass one string")
    else:
        words = list(command)
    if not words or not words[0]:
        raise ValueError("command must not be empty")
    if any("\0" in word for word in words):
        raise ValueError("a command cannot contain NUL")
    if sum(map(len, words)) <= _MAX_INLINE_CHARACTERS and len(words) <= _MAX_INLINE_WORDS:
        return {"command": words}, b""
    return {"payload_command": True}, b"\0".join(os.fsencode(word) for word in words)


def decode(captured: Captured) -> str:
    """Return what was kept of an output as text, the cut marked."""
    return captured.whole.decode("utf-8", "replace")


def command_error(error: ToolError | ChannelClosed, timeout: float | None) -> Exception:
    """The error for a command that gave no result, with the output it had by then."""
    if not isinstance(error, (ToolTimeout, TooLarge)):
        return translate(error, "")
    try:
        output = results.output_of_failure(error)
    except ChannelClosed as wrong:
        return translate(wrong, "")
    stdout, stderr = _preview(output.stdout), _preview(output.stderr)
    if isinstance(error, ToolTimeout):
        message = f"command timed out after {timeout or 0:g}s and was killed"
        return WorkspaceTimeoutError(message, stdout=stdout, stderr=stderr)
    if not error.payload:
        return OSError(errno.E2BIG, "the command or its environment is too long")
    return WorkspaceOutputLimitError(
        f"the command wrote more than {MAX_OUTPUT_BYTES} bytes; redirect it to a file",
        limit=MAX_OUTPUT_BYTES,
        stdout=stdout,
        stderr=stderr,
    )


def _preview(captured: Captured) -> str:
    return captured.head[:_PREVIEW_BYTES].decode("utf-8", "replace")
