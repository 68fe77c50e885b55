"""The closed set of codes that leave a sandbox, and the one translation from `OSError`.

A code that is not listed here is never sent; a failure nobody foresaw is `internal`.
"""

from __future__ import annotations

import errno

CODES = frozenset(
    {
        "ambiguous",
        "binary",
        "busy",
        "cancelled",
        "changed",
        "disk_limit",
        "exists",
        "internal",
        "invalid_argument",
        "is_directory",
        "limit_connections",
        "limit_jobs",
        "limit_requests",
        "limit_resources",
        "limit_shells",
        "link_loop",
        "lua_error",
        "lua_instructions",
        "lua_memory",
        "lua_output",
        "lua_timeout",
        "lua_unavailable",
        "malformed",
        "no_match",
        "no_space",
        "not_directory",
        "not_found",
        "not_regular",
        "outside_project",
        "permission_denied",
        "read_only",
        "timeout",
        "too_large",
        "unavailable",
        "unknown_operation",
    }
)

_BY_ERRNO = {
    errno.ENOENT: "not_found",
    errno.EISDIR: "is_directory",
    errno.ENOTDIR: "not_directory",
    errno.EEXIST: "exists",
    errno.ENOTEMPTY: "exists",
    errno.EACCES: "permission_denied",
    errno.EPERM: "permission_denied",
    errno.EROFS: "read_only",
    errno.ENOSPC: "no_space",
    errno.EDQUOT: "no_space",
    errno.EFBIG: "too_large",
    errno.E2BIG: "too_large",
    errno.ELOOP: "link_loop",
    errno.EBUSY: "busy",
    errno.ETXTBSY: "busy",
    errno.ENXIO: "not_regular",
    errno.EINVAL: "invalid_argument",
    errno.ENAMETOOLONG: "invalid_argument",
    errno.EXDEV: "invalid_argument",
    errno.EMFILE: "limit_resources",
    errno.ENFILE: "limit_resources",
    errno.ENOMEM: "limit_resources",
    errno.EAGAIN: "limit_resources",
}


_HINTS = {
    errno.EAGAIN: "no further process can be started: the sandbox's limit of processes is reached",
    errno.EMFILE: "too many open files: the limit of open files is reached",
    errno.ENFILE: "too many open files in the whole system",
    errno.ENOMEM: "out of memory: the sandbox's memory limit is reached",
}


class ToolFailure(Exception):
    """A failure: a code of the closed set, a sentence, optionally JSON data and raw bytes."""

    def __init__(self, code: str, message: str, data: dict[str, object] | None = None) -> None:
        """Refuse nothing: `code` is checked once more where the reply is written."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data
        self.payload = b""


def from_os_error(error: OSError, subject: str) -> ToolFailure:
    """Translate an operating system's error about `subject` into the closed set."""
    code = _BY_ERRNO.get(error.errno or 0, "internal")
    words = _HINTS.get(error.errno or 0) or error.strerror or code
    return ToolFailure(code, f"{subject}: {words}", {"errno": error.errno})


def no_thread() -> ToolFailure:
    """Build the failure for a thread that could not be started."""
    return ToolFailure("limit_resources", _HINTS[errno.EAGAIN])
