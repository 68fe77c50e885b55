"""What can go wrong between us and a sandbox, as classes with stable codes.

    JidoError
    ├── ToolError                 the tool server refused or failed; one class a wire code
    └── SandboxUnavailable
        ├── ChannelClosed         the connection ended; what was in flight may have happened
        └── ChannelProtocolError  the other end sent what no tool server sends

The sandbox names a code and never a class: a code is looked up in `TOOL_ERRORS`, and one
that is not there is `InternalFailure`.
"""

from __future__ import annotations

from typing import ClassVar, Final

from orchestrator.domain.errors import JidoError, SandboxUnavailable

MAX_MESSAGE_CHARACTERS: Final = 2000
"""Characters of a sandbox's message that are kept."""


class ChannelClosed(SandboxUnavailable):
    """The connection to the sandbox could not be made, or ended."""

    code = "channel_closed"
    title = "Connection to the sandbox lost"


class ChannelProtocolError(ChannelClosed):
    """The other end broke the protocol; the connection was closed for it."""

    code = "channel_protocol_error"
    title = "The sandbox answered nonsense"


class ToolError(JidoError):
    """The tool server refused or failed an operation.

    `payload` is what came with the failure, such as the output of a command up to its
    timeout.
    """

    code = "tool_error"
    title = "A tool failed"
    wire_code: ClassVar[str] = "internal"

    payload: bytes = b""


class Ambiguous(ToolError):
    """The text to replace occurs more than once."""

    code = "tool_ambiguous"
    title = "Several matches"
    wire_code = "ambiguous"


class BinaryFile(ToolError):
    """The file holds no text."""

    code = "tool_binary"
    title = "Not a text file"
    wire_code = "binary"


class Busy(ToolError):
    """What was asked for is in use; trying again later may succeed."""

    code = "tool_busy"
    title = "Busy"
    wire_code = "busy"


class Cancelled(ToolError):
    """The operation was cancelled."""

    code = "tool_cancelled"
    title = "Cancelled"
    wire_code = "cancelled"


class Changed(ToolError):
    """The file is no longer what the caller read."""

    code = "tool_changed"
    title = "Changed since it was read"
    wire_code = "changed"


class DiskLimit(ToolError):
    """The session has added more to its project than it may; reading and removing work."""

    code = "tool_disk_limit"
    title = "Disk limit reached"
    wire_code = "disk_limit"


class Exists(ToolError):
    """Something is there already."""

    code = "tool_exists"
    title = "Exists already"
    wire_code = "exists"


class InternalFailure(ToolError):
    """A fault of the tool server, or a code nobody knows."""

    code = "tool_internal"
    title = "The tool server failed"
    wire_code = "internal"


class InvalidArgument(ToolError):
    """The arguments make no sense to the tool server."""

    code = "tool_invalid_argument"
    title = "Invalid argument"
    wire_code = "invalid_argument"


class IsDirectory(ToolError):
    """A file was wanted and a directory is there."""

    code = "tool_is_directory"
    title = "Is a directory"
    wire_code = "is_directory"


class TooManyConnections(ToolError):
    """The sandbox serves no further connection."""

    code = "tool_limit_connections"
    title = "Too many connections"
    wire_code = "limit_connections"


class TooManyJobs(ToolError):
    """As many background jobs run as may."""

    code = "tool_limit_jobs"
    title = "Too many jobs"
    wire_code = "limit_jobs"


class TooManyRequests(ToolError):
    """As many requests are in flight as may be."""

    code = "tool_limit_requests"
    title = "Too many requests"
    wire_code = "limit_requests"


class ResourcesExhausted(ToolError):
    """The sandbox is out of memory, processes or descriptors."""

    code = "tool_limit_resources"
    title = "Out of resources"
    wire_code = "limit_resources"


class TooManyShells(ToolError):
    """As many persistent shells are open as may be."""

    code = "tool_limit_shells"
    title = "Too many shells"
    wire_code = "limit_shells"


class LinkLoop(ToolError):
    """Symbolic links lead in a circle."""

    code = "tool_link_loop"
    title = "Symbolic link loop"
    wire_code = "link_loop"


class LuaError(ToolError):
    """The script, or its interpreter, ended with an error."""

    code = "tool_lua_error"
    title = "The script failed"
    wire_code = "lua_error"


class LuaInstructions(ToolError):
    """The script ran more instructions than it may."""

    code = "tool_lua_instructions"
    title = "Too many instructions"
    wire_code = "lua_instructions"


class LuaMemory(ToolError):
    """The script used more memory than it may."""

    code = "tool_lua_memory"
    title = "Out of memory"
    wire_code = "lua_memory"


class LuaOutput(ToolError):
    """The script printed or returned more than it may."""

    code = "tool_lua_output"
    title = "Too much output"
    wire_code = "lua_output"


class LuaTimeout(ToolError):
    """The script took longer than it may."""

    code = "tool_lua_timeout"
    title = "Script timed out"
    wire_code = "lua_timeout"


class LuaUnavailable(ToolError):
    """The sandbox has no Lua interpreter."""

    code = "tool_lua_unavailable"
    title = "No Lua here"
    wire_code = "lua_unavailable"


class Malformed(ToolError):
    """The tool server could not read what it was sent."""

    code = "tool_malformed"
    title = "Malformed request"
    wire_code = "malformed"


class NoMatch(ToolError):
    """The text to replace was not found."""

    code = "tool_no_match"
    title = "No match"
    wire_code = "no_match"


class NoSpaceInSandbox(ToolError):
    """The disk, or the owner's quota, is full."""

    code = "tool_no_space"
    title = "No space left"
    wire_code = "no_space"


class NotDirectory(ToolError):
    """A directory was wanted and something else is there."""

    code = "tool_not_directory"
    title = "Not a directory"
    wire_code = "not_directory"


class FileMissing(ToolError):
    """Nothing is there."""

    code = "tool_not_found"
    title = "Not found"
    wire_code = "not_found"


class NotRegular(ToolError):
    """A device, a pipe or a socket cannot be read as a file."""

    code = "tool_not_regular"
    title = "Not a regular file"
    wire_code = "not_regular"


class OutsideProject(ToolError):
    """The path leads out of the project directory."""

    code = "tool_outside_project"
    title = "Outside the project"
    wire_code = "outside_project"


class PermissionDenied(ToolError):
    """The owner's permissions do not allow it."""

    code = "tool_permission_denied"
    title = "Permission denied"
    wire_code = "permission_denied"


class ReadOnly(ToolError):
    """The place is mounted read-only."""

    code = "tool_read_only"
    title = "Read-only"
    wire_code = "read_only"


class ToolTimeout(ToolError):
    """The operation took longer than it was given."""

    code = "tool_timeout"
    title = "Timed out"
    wire_code = "timeout"


class TooLarge(ToolError):
    """More bytes than one operation may carry."""

    code = "tool_too_large"
    title = "Too large"
    wire_code = "too_large"


class ToolUnavailable(ToolError):
    """What was asked for has ended or is closed."""

    code = "tool_unavailable"
    title = "Unavailable"
    wire_code = "unavailable"


class UnknownOperation(ToolError):
    """The tool server is older or newer than its client."""

    code = "tool_unknown_operation"
    title = "Unknown operation"
    wire_code = "unknown_operation"


TOOL_ERRORS: Final[dict[str, type[ToolError]]] = {
    error.wire_code: error
    for error in (
        Ambiguous,
        BinaryFile,
        Busy,
        Cancelled,
        Changed,
        DiskLimit,
        Exists,
        InternalFailure,
        InvalidArgument,
        IsDirectory,
        TooManyConnections,
        TooManyJobs,
        TooManyRequests,
        TooManyShells,
        ResourcesExhausted,
        LinkLoop,
        LuaError,
        LuaInstructions,
        LuaMemory,
        LuaOutput,
        LuaTimeout,
        LuaUnavailable,
        Malformed,
        NoMatch,
        NoSpaceInSandbox,
        NotDirectory,
        FileMissing,
        NotRegular,
        OutsideProject,
        PermissionDenied,
        ReadOnly,
        ToolTimeout,
        TooLarge,
        ToolUnavailable,
        UnknownOperation,
    )
}
"""Every code of the tool server and the class it becomes."""


def tool_error(code: object, message: object) -> ToolError:
    """Build the error for a code and message of a sandbox, neither of which is trusted."""
    text = message if isinstance(message, str) else ""
    kind = TOOL_ERRORS.get(code, InternalFailure) if isinstance(code, str) else InternalFailure
    return kind(text[:MAX_MESSAGE_CHARACTERS] or kind.title)
