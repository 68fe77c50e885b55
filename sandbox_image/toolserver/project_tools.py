"""A project's own tools, `.jido_code/tools/NAME.lua`: their bytes, their declarations.

Owns reading the files without following a link and without waiting for a pipe, and reading a
declaration in an interpreter of its own that may do nothing. Decides nothing about trust: whoever
asks hashes the bytes it is given and sends back those that count.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import time
from itertools import islice

from sandbox_image.toolserver.errors import ToolFailure, from_os_error
from sandbox_image.toolserver.files import read_handle
from sandbox_image.toolserver.requests import Request
from sandbox_image.toolserver.roots import Root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox_image.toolserver.arguments import Arguments
    from sandbox_image.toolserver.interpreter import Interpreter
    from sandbox_image.toolserver.services import Services

PLACE = (".jido_code", "tools")
"""Directories below the project, outermost first."""

SUFFIX = ".lua"
"""How the name of a tool's file ends; others are left alone."""

MAX_TOOLS = 32
"""Files that are read; names beyond are told as left out."""

MAX_TOOL_BYTES = 64 * 1024
"""Bytes of one file."""

MAX_NAMES = 1000
"""Entries of the directory that are looked at."""

MAX_NAME_CHARACTERS = 80
"""Characters of a name that are told; longer ones are no tool's."""

DESCRIBE_TIMEOUT_S = 2.0
"""Seconds for reading one declaration."""

DESCRIBE_ALL_TIMEOUT_S = 10.0
"""Seconds for reading all declarations of one request; the rest is told as timed out."""

DESCRIBE_LIMITS = {"instructions": 5_000_000, "output_bytes": 4096, "result_bytes": 32 * 1024}
"""Limits of the interpreter that reads declarations; its memory is that of scripts."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def read_files(root: Root) -> tuple[dict[str, object], bytes]:
    """Every tool's file by name: `bytes` of it in the payload, or the code of what is wrong."""
    try:
        directory = _open_directory(root)
    except FileNotFoundError:
        return {"files": [], "left_out": 0}, b""
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            message = f"{'/'.join(PLACE)}: not a directory, or a link"
            raise ToolFailure("not_directory", message) from None
        raise from_os_error(error, "/".join(PLACE)) from None
    files: list[dict[str, object]] = []
    contents: list[bytes] = []
    try:
        with os.scandir(directory) as entries:
            names = sorted(e.name for e in islice(entries, MAX_NAMES) if e.name.endswith(SUFFIX))
        for name in names[:MAX_TOOLS]:
            files.append({"name": name[: -len(SUFFIX)][:MAX_NAME_CHARACTERS]})
            files[-1].update(_read(directory, name, contents))
    finally:
        os.close(directory)
    return {"files": files, "left_out": max(0, len(names) - MAX_TOOLS)}, b"".join(contents)


def _open_directory(root: Root) -> int:
    handle = os.dup(root.handle)
    try:
        for name in PLACE:
            inner = os.open(name, _DIRECTORY, dir_fd=handle)
            os.close(handle)
            handle = inner
    except OSError:
        os.close(handle)
        raise
    return handle


def _read(directory: int, name: str, contents: list[bytes]) -> dict[str, object]:
    try:
        handle = os.open(name, _FILE, dir_fd=directory)
    except OSError as error:
        code = "not_regular" if error.errno == errno.ELOOP else from_os_error(error, name).code
        return {"error": code}
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return {"error": "not_regular"}
        content = read_handle(handle, MAX_TOOL_BYTES + 1)
    except OSError as error:
        return {"error": from_os_error(error, name).code}
    finally:
        os.close(handle)
    if len(content) > MAX_TOOL_BYTES:
        return {"error": "too_large"}
    contents.append(content)
    return {"bytes": len(content)}


def sources_of(arguments: Arguments, payload: bytes) -> list[tuple[str, int]]:
    """Names and lengths of the texts at the payload's end; raises `invalid_argument`."""
    listed = arguments.pairs("tools", MAX_TOOLS)
    if sum(length for _, length in listed) > len(payload):
        raise ToolFailure("invalid_argument", "`tools` names more bytes than there are")
    return listed


def script_header(arguments: Arguments, payload: bytes) -> dict[str, object]:
    """What the interpreter is told of the tools that come with a script or a call."""
    listed = sources_of(arguments, payload)
    header: dict[str, object] = {}
    if listed:
        header["tools"] = [list(pair) for pair in listed]
    refused = arguments.string_map("refused", MAX_TOOLS)
    if refused:
        header["refused"] = refused
    tool = arguments.optional_text("tool")
    if tool is not None:
        if tool not in dict(listed):
            raise ToolFailure("invalid_argument", "`tool` is none of the `tools`")
        header["tool"] = tool
    return header


def describe(services: Services, request: Request) -> tuple[dict[str, object], bytes]:
    """The declarations of the tools in the payload, or how reading each of them failed."""
    interpreter = services.new_interpreter(**DESCRIBE_LIMITS)
    described: list[dict[str, object]] = []
    position, deadline = 0, time.monotonic() + DESCRIBE_ALL_TIMEOUT_S
    try:
        for name, length in sources_of(request.arguments, request.payload):
            inner = Request(
                "describe", {}, request.payload[position : position + length], lambda _, __: None
            )
            position += length
            request.on_cancel(inner.cancel)
            seconds = min(DESCRIBE_TIMEOUT_S, deadline - time.monotonic())
            described.append({"name": name, **_described(interpreter, inner, name, seconds)})
    finally:
        request.on_cancel(None)
        interpreter.end()
    return {}, json.dumps(described, separators=(",", ":")).encode()


def _refuse(request: Request) -> tuple[dict[str, object], bytes]:
    raise ToolFailure("permission_denied", "a tool may act when it is called, not before")


def _described(
    interpreter: Interpreter, request: Request, name: str, seconds: float
) -> dict[str, object]:
    if seconds <= 0:
        return {"error": {"code": "lua_timeout", "message": "there was no time left to read it"}}
    result, payload = interpreter.run(request, seconds, _refuse, name, {"describe": name})
    length = result["value_bytes"]
    if result["error"] is not None or not isinstance(length, int):
        return {"error": result["error"]}
    return {"declaration": json.loads(payload[:length])}
