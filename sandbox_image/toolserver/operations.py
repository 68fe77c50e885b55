"""The table of operations: name, permitted arguments, and whether it may take long.

A quick operation runs on the thread that read it; any other gets a thread of its own.
"""

from __future__ import annotations

import errno

from sandbox_image.toolserver import commands, edits, files, project_tools, running, search, tree
from sandbox_image.toolserver.digests import content_hash
from sandbox_image.toolserver.errors import CODES, ToolFailure, from_os_error, no_thread
from sandbox_image.toolserver.replies import json_reply
from sandbox_image.toolserver.requests import Request
from sandbox_image.toolserver.services import Services
from sandbox_image.toolserver.threads import ThreadRefused
from sandbox_image.toolserver.watch import COUNTS
from sandbox_image.toolserver.wire import MAX_PAYLOAD_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox_image.toolserver.replies import Reply

    Handler = Callable[[Services, Request], Reply]

MAX_LIMITS_WAIT_S = 600.0
"""Seconds a request for the counts of limits may wait for a change."""


class Operation:
    """One row of the table."""

    __slots__ = ("handler", "names", "quick", "starts", "writes")

    def __init__(
        self,
        handler: Handler,
        names: str,
        *,
        quick: bool = False,
        writes: bool = False,
        starts: bool = False,
    ) -> None:
        """`names` are the permitted arguments, separated by spaces.

        What `writes` is refused while the session has added more to its project than it may;
        what `starts` something is let do so, and may be ended for what that writes.
        """
        self.handler = handler
        self.names = frozenset(names.split())
        self.quick = quick
        self.writes = writes
        self.starts = starts


_TRANSLATED: dict[type[Exception], tuple[str, str]] = {
    UnicodeEncodeError: ("invalid_argument", "an argument cannot be encoded"),
    MemoryError: ("limit_resources", "out of memory"),
    RecursionError: ("limit_resources", "nested too deeply"),
}
"""Exceptions of the language that mean the same wherever they come from."""


def execute(services: Services, request: Request) -> Reply:
    """Run one request; every failure leaves as a `ToolFailure` with a code of the closed set."""
    operation = OPERATIONS.get(request.operation)
    if operation is None:
        raise ToolFailure("unknown_operation", f"unknown operation `{request.operation[:80]}`")
    request.arguments.refuse_unknown(operation.names)
    if request.cancelled:
        raise ToolFailure("cancelled", "cancelled before it began")
    try:
        if operation.writes:
            services.disk.refuse_writing()
        if operation.writes or operation.starts:
            services.disk.stir()
        return operation.handler(services, request)
    except ToolFailure as failure:
        if failure.code not in CODES:
            raise ToolFailure("internal", failure.message) from None
        raise
    except OSError as error:
        services.watch.refused(error.errno)
        subject = str(request.arguments.optional_text("path") or request.operation)
        raise from_os_error(error, subject) from None
    except tuple(_TRANSLATED) as error:
        raise ToolFailure(*_TRANSLATED[type(error)]) from None
    except ThreadRefused:
        services.watch.refused(errno.EAGAIN)
        raise no_thread() from None
    except Exception as error:  # noqa: BLE001 - a bug in one operation must not end the server
        raise ToolFailure("internal", f"{type(error).__name__}: {error}"[:500]) from None


def _ping(services: Services, request: Request) -> Reply:
    return {}, b""


def _read(services: Services, request: Request) -> Reply:
    arguments = request.arguments
    path = arguments.text("path")
    if arguments.flag("raw"):
        start = arguments.integer("start", 0, 0, 1 << 62)
        length = arguments.integer("length", MAX_PAYLOAD_BYTES, 0, MAX_PAYLOAD_BYTES)
        seen = services.seen if arguments.flag("seen") else None
        data, size = files.read_range(services.root, path, start, length, seen)
        return {"size": size}, data
    first = arguments.integer("offset", 1, 1, 1 << 40)
    count = arguments.integer("limit", files.MAX_LINES, 1, files.MAX_LINES)
    width = arguments.integer("width", files.MAX_LINE_CHARACTERS, 1, files.MAX_LINE_CHARACTERS)
    return files.read_lines(services.root, path, first, count, width)


def _write(services: Services, request: Request) -> Reply:
    arguments = request.arguments
    data = request.payload
    path = arguments.text("path")
    expected = arguments.optional_text("expected_hash")
    created = files.write_whole(services.root, path, data, expected, services.seen)
    result: dict[str, object] = {"size": len(data), "created": created}
    if arguments.flag("hash", True):
        result["hash"] = content_hash(data)
    return result, b""


def _stat(services: Services, request: Request) -> Reply:
    arguments = request.arguments
    path = arguments.text("path")
    return tree.describe(services.root, path, arguments.flag("follow", True)), b""


def _exists(services: Services, request: Request) -> Reply:
    return {"exists": tree.exists(services.root, request.arguments.text("path"))}, b""


def _list(services: Services, request: Request) -> Reply:
    found, truncated = tree.listing(services.root, request.arguments.text("path", "."))
    return json_reply(found, truncated=truncated)


def _make_dir(services: Services, request: Request) -> Reply:
    return {"created": tree.make_directory(services.root, request.arguments.text("path"))}, b""


def _remove(services: Services, request: Request) -> Reply:
    tree.remove(services.root, request.arguments.text("path"))
    services.disk.look_again()
    return {}, b""


def _rename(services: Services, request: Request) -> Reply:
    arguments = request.arguments
    overwrite = arguments.flag("overwrite")
    tree.rename(services.root, arguments.text("path"), arguments.text("target"), overwrite)
    return {}, b""


def _realpath(services: Services, request: Request) -> Reply:
    return {"path": tree.real_path(services.root, request.arguments.text("path"))}, b""


def _edit(services: Services, request: Request) -> Reply:
    arguments = request.arguments
    wanted = edits.parse_edits(request.payload)
    expected = arguments.optional_text("expected_hash")
    if arguments.flag("preview"):
        return edits.preview_edits(services.root, arguments.text("path"), wanted)
    return edits.edit_file(services.root, arguments.text("path"), wanted, expected), b""


def _glob(services: Services, request: Request) -> Reply:
    arguments = request.arguments
    found, truncated = search.glob_files(
        services,
        request,
        arguments.text("pattern"),
        arguments.text("path", "."),
        arguments.integer("limit", search.DEFAULT_HITS, 1, search.MAX_PATHS),
    )
    return json_reply(found, truncated=truncated)


def _find(services: Services, request: Request) -> Reply:
    arguments = request.arguments
    limit = arguments.integer("limit", 20, 1, search.MAX_PATHS)
    found, truncated = search.find_files(services, request, arguments.text("query"), limit)
    return json_reply(found, truncated=truncated)


def _grep(services: Services, request: Request) -> Reply:
    found, truncated = search.grep(services, request)
    return json_reply(found, truncated=truncated)


def _lua(services: Services, request: Request) -> Reply:
    arguments = request.arguments
    timeout_s = arguments.seconds("timeout_s", 30.0, commands.MAX_TIMEOUT_S) or 30.0
    more = project_tools.script_header(arguments, request.payload)
    interpreter = services.tool_interpreter if "tool" in more else services.interpreter
    if arguments.flag("reset"):
        interpreter.reset()
    name = arguments.text("name", "script")
    return interpreter.run(request, timeout_s, lambda inner: execute(services, inner), name, more)


def _tool_files(services: Services, request: Request) -> Reply:
    return project_tools.read_files(services.root)


def _lua_reset(services: Services, request: Request) -> Reply:
    services.interpreter.reset()
    services.tool_interpreter.reset()
    return {}, b""


def _limits(services: Services, request: Request) -> Reply:
    arguments = request.arguments
    after = arguments.integer("after", -1, -1, 1 << 62)
    wait_s = arguments.seconds("wait_s", None, MAX_LIMITS_WAIT_S) or 0.0
    for name in COUNTS:
        services.watch.acknowledge(name, arguments.integer(f"{name}_told", 0, 0, 1 << 62))
    request.on_cancel(services.watch.wake)
    return services.watch.wait(after, wait_s, lambda: request.cancelled), b""


_START = "command shell payload_command env cwd"

OPERATIONS: dict[str, Operation] = {
    "ping": Operation(_ping, "", quick=True),
    "read": Operation(_read, "path raw seen start length offset limit width", quick=True),
    "write": Operation(_write, "path expected_hash hash", quick=True, writes=True),
    "stat": Operation(_stat, "path follow", quick=True),
    "exists": Operation(_exists, "path", quick=True),
    "list": Operation(_list, "path"),
    "make_dir": Operation(_make_dir, "path", quick=True, writes=True),
    "remove": Operation(_remove, "path"),
    "rename": Operation(_rename, "path target overwrite", quick=True),
    "realpath": Operation(_realpath, "path", quick=True),
    "edit": Operation(_edit, "path expected_hash preview", writes=True),
    "run": Operation(
        running.run, f"{_START} timeout_s keep_bytes stop_at_limit stream", starts=True
    ),
    "shell_run": Operation(
        running.shell_run, "name timeout_s keep_bytes stop_at_limit stream", starts=True
    ),
    "shell_reset": Operation(running.shell_reset, "name"),
    "shell_list": Operation(running.shell_list, ""),
    "glob": Operation(_glob, "pattern path limit"),
    "find": Operation(_find, "query limit"),
    "grep": Operation(_grep, search.GREP_ARGUMENTS),
    "job_start": Operation(running.job_start, _START, starts=True),
    "job_poll": Operation(running.job_poll, "job cursor wait_s"),
    "job_input": Operation(running.job_input, "job close"),
    "job_kill": Operation(running.job_kill, "job"),
    "job_list": Operation(running.job_list, ""),
    "job_forget": Operation(running.job_forget, "job"),
    "lua": Operation(_lua, "timeout_s name reset tools refused tool"),
    "limits": Operation(
        _limits, " ".join(["after", "wait_s", *(f"{each}_told" for each in COUNTS)])
    ),
    "lua_reset": Operation(_lua_reset, "", quick=True),
    "tool_files": Operation(_tool_files, ""),
    "tool_describe": Operation(project_tools.describe, "tools"),
}
"""Every operation there is."""
