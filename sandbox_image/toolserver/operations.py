"""The table of operations: name, permitted arguments, and whether it may take long.

A quick operation runs on the thread that read it; any other gets a thread of its own.
"""

from __future__ import annotations

import errno
import json
import os

from sandbox_image.toolserver import commands, edits, files, project_tools, search, tree
from sandbox_image.toolserver.digests import content_hash
from sandbox_image.toolserver.environment import merge
from sandbox_image.toolserver.errors import CODES, ToolFailure, from_os_error, no_thread
from sandbox_image.toolserver.requests import Request
from sandbox_image.toolserver.services import Services
from sandbox_image.toolserver.threads import ThreadRefused
from sandbox_image.toolserver.wire import MAX_PAYLOAD_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Reply = tuple[dict[str, object], bytes]
    Handler = Callable[[Services, Request], Reply]

_encode_json = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode

MAX_ARGUMENTS = 10_000
"""Words of one command."""

MAX_VARIABLES = 1000
"""Environment variables of one request."""

MAX_LIMITS_WAIT_S = 600.0
"""Seconds a request for the counts of limits may wait for a change."""

DEFAULT_OUTPUT_BYTES = 1024 * 1024
"""Bytes of each stream kept when a request names no limit."""


class Operation:
    """One row of the table."""

    __slots__ = ("handler", "names", "quick")

    def __init__(self, handler: Handler, names: str, *, quick: bool = False) -> None:
        """`names` are the permitted arguments, separated by spaces."""
        self.handler = handler
        self.names = frozenset(names.split())
        self.quick = quick


def execute(services: Services, request: Request) -> Reply:
    """Run one request; every failure leaves as a `ToolFailure` with a code of the closed set."""
    operation = OPERATIONS.get(request.operation)
    if operation is None:
        raise ToolFailure("unknown_operation", f"unknown operation `{request.operation[:80]}`")
    request.arguments.refuse_unknown(operation.names)
    if request.cancelled:
        raise ToolFailure("cancelled", "cancelled before it began")
    try:
        return operation.handler(services, request)
    except ToolFailure as failure:
        if failure.code not in CODES:
            raise ToolFailure("internal", failure.message) from None
        raise
    except OSError as error:
        services.watch.refused(error.errno)
        subject = str(request.arguments.optional_text("path") or request.operation)
        raise from_os_error(error, subject) from None
    except MemoryError:
        raise ToolFailure("limit_resources", "out of memory") from None
    except RecursionError:
        raise ToolFailure("limit_resources", "nested too deeply") from None
    except ThreadRefused:
        services.watch.refused(errno.EAGAIN)
        raise no_thread() from None
    except Exception as error:  # noqa: BLE001 - a bug in one operation must not end the server
        raise ToolFailure("internal", f"{type(error).__name__}: {error}"[:500]) from None


def _json_reply(found: object, **result: object) -> Reply:
    data = _encode_json(found).encode("ascii")
    if len(data) > MAX_PAYLOAD_BYTES:
        raise ToolFailure("too_large", "the answer is larger than one reply may be")
    return result, data


def _ping(services: Services, request: Request) -> Reply:
    return {}, b""


def _read(services: Services, request: Request) -> Reply:
    arguments = request.arguments
    path = arguments.text("path")
    if arguments.flag("raw"):
        start = arguments.integer("start", 0, 0, 1 << 62)
        length = arguments.integer("length", MAX_PAYLOAD_BYTES, 0, MAX_PAYLOAD_BYTES)
        data, size = files.read_range(services.root, path, start, length)
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
    created = files.write_whole(services.root, path, data, expected)
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
    return _json_reply(found, truncated=truncated)


def _make_dir(services: Services, request: Request) -> Reply:
    return {"created": tree.make_directory(services.root, request.arguments.text("path"))}, b""


def _remove(services: Services, request: Request) -> Reply:
    tree.remove(services.root, request.arguments.text("path"))
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
    return edits.edit_file(services.root, arguments.text("path"), wanted, expected), b""


def command_of(request: Request) -> list[str]:
    """The words to run: `command` as argv, or the shell line that is `shell` or the payload."""
    arguments = request.arguments
    if arguments.has("command"):
        words = arguments.string_list("command", MAX_ARGUMENTS)
        if not words or not words[0]:
            raise ToolFailure("invalid_argument", "`command` must not be empty")
    elif arguments.flag("payload_command"):
        words = _payload_words(request.payload)
    else:
        words = ["/bin/sh", "-c", arguments.text("shell")]
    if any("\0" in word for word in words):
        raise ToolFailure("invalid_argument", "a command cannot contain NUL")
    return words


def _payload_words(payload: bytes) -> list[str]:
    """Words separated by NUL, for commands that do not fit into a header."""
    words = [os.fsdecode(word) for word in payload.split(b"\0")]
    if not words[0] or len(words) > MAX_ARGUMENTS:
        raise ToolFailure("invalid_argument", "the payload holds no command")
    return words


def _run(services: Services, request: Request) -> Reply:
    arguments = request.arguments
    words = command_of(request)
    stdin = None if arguments.flag("payload_command") else request.payload
    environment = merge(services.environment, arguments.string_map("env", MAX_VARIABLES))
    directory = services.working_directory(arguments.optional_text("cwd"))
    timeout_s = arguments.seconds("timeout_s", None, commands.MAX_TIMEOUT_S)
    limit = arguments.integer("keep_bytes", DEFAULT_OUTPUT_BYTES, 0, commands.MAX_KEPT_BYTES // 2)
    collector = commands.Collector(limit)
    stream, bounded = arguments.flag("stream"), arguments.flag("stop_at_limit")

    def on_output(name: str, data: bytes) -> None:
        if collector.add(name, data) > limit and bounded:
            raise ToolFailure("too_large", f"the command wrote more than {limit} bytes")
        if stream:
            request.stream(name, data)

    kills = services.watch.memory_kills
    command = commands.Command(words, environment, directory)
    request.on_cancel(lambda: command.stop("cancelled"))
    try:
        code = command.run(stdin, timeout_s, on_output)
        if services.watch.look() > kills:
            on_output("stderr", services.watch.memory_words(killed=code == 137))
    except ToolFailure as failure:
        failure.data, failure.payload = collector.reply()
        raise
    described, kept = collector.reply()
    return {"exit_code": code, **described}, kept


def _glob(services: Services, request: Request) -> Reply:
    arguments = request.arguments
    found, truncated = search.glob_files(
        services,
        request,
        arguments.text("pattern"),
        arguments.text("path", "."),
        arguments.integer("limit", search.DEFAULT_HITS, 1, search.MAX_PATHS),
    )
    return _json_reply(found, truncated=truncated)


def _find(services: Services, request: Request) -> Reply:
    arguments = request.arguments
    limit = arguments.integer("limit", 20, 1, search.MAX_PATHS)
    found, truncated = search.find_files(services, request, arguments.text("query"), limit)
    return _json_reply(found, truncated=truncated)


def _grep(services: Services, request: Request) -> Reply:
    found, truncated = search.grep(services, request)
    return _json_reply(found, truncated=truncated)


def _job_start(services: Services, request: Request) -> Reply:
    arguments = request.arguments
    words = command_of(request)
    environment = merge(services.environment, arguments.string_map("env", MAX_VARIABLES))
    directory = services.working_directory(arguments.optional_text("cwd"))
    return services.jobs.start(words, environment, directory), b""


def _job_poll(services: Services, request: Request) -> Reply:
    arguments = request.arguments
    job = services.jobs.get(arguments.text("job"))
    cursor = arguments.integer("cursor", 0, 0, 1 << 62)
    wait_s = arguments.seconds("wait_s", None, 60.0)
    request.on_cancel(job.wake)
    return job.poll(cursor, wait_s or 0.0, lambda: request.cancelled)


def _job_input(services: Services, request: Request) -> Reply:
    arguments = request.arguments
    services.jobs.get(arguments.text("job")).write(request.payload, arguments.flag("close"))
    return {}, b""


def _job_kill(services: Services, request: Request) -> Reply:
    return services.jobs.get(request.arguments.text("job")).kill(), b""


def _job_list(services: Services, request: Request) -> Reply:
    return _json_reply(services.jobs.describe())


def _job_forget(services: Services, request: Request) -> Reply:
    services.jobs.forget(request.arguments.text("job"))
    return {}, b""


def _lua(services: Services, request: Request) -> Reply:
    arguments = request.arguments
    timeout_s = arguments.seconds("timeout_s", 30.0, commands.MAX_TIMEOUT_S) or 30.0
    if arguments.flag("reset"):
        services.interpreter.reset()
    more = project_tools.script_header(arguments, request.payload)
    interpreter = services.tool_interpreter if "tool" in more else services.interpreter
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
    request.on_cancel(services.watch.wake)
    return services.watch.wait(after, wait_s, lambda: request.cancelled), b""


_START = "command shell payload_command env cwd"

OPERATIONS: dict[str, Operation] = {
    "ping": Operation(_ping, "", quick=True),
    "read": Operation(_read, "path raw start length offset limit width", quick=True),
    "write": Operation(_write, "path expected_hash hash", quick=True),
    "stat": Operation(_stat, "path follow", quick=True),
    "exists": Operation(_exists, "path", quick=True),
    "list": Operation(_list, "path"),
    "make_dir": Operation(_make_dir, "path", quick=True),
    "remove": Operation(_remove, "path"),
    "rename": Operation(_rename, "path target overwrite", quick=True),
    "realpath": Operation(_realpath, "path", quick=True),
    "edit": Operation(_edit, "path expected_hash"),
    "run": Operation(_run, f"{_START} timeout_s keep_bytes stop_at_limit stream"),
    "glob": Operation(_glob, "pattern path limit"),
    "find": Operation(_find, "query limit"),
    "grep": Operation(_grep, search.GREP_ARGUMENTS),
    "job_start": Operation(_job_start, _START),
    "job_poll": Operation(_job_poll, "job cursor wait_s"),
    "job_input": Operation(_job_input, "job close"),
    "job_kill": Operation(_job_kill, "job"),
    "job_list": Operation(_job_list, ""),
    "job_forget": Operation(_job_forget, "job"),
    "lua": Operation(_lua, "timeout_s name reset tools refused tool"),
    "limits": Operation(_limits, "after wait_s"),
    "lua_reset": Operation(_lua_reset, "", quick=True),
    "tool_files": Operation(_tool_files, ""),
    "tool_describe": Operation(project_tools.describe, "tools"),
}
"""Every operation there is."""
