"""What the rest of the product asks of a running sandbox, beside the agent's workspace.

Typed, bounded calls over one channel: streamed commands, Lua, search, edits, changes.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from pydantic import JsonValue

from orchestrator.domain.limits import (
    COMMAND_TIMEOUT_S,
    MAX_OUTPUT_BYTES,
    MAX_SEARCH_HITS,
    MAX_WRITE_BYTES,
    TOOL_TIMEOUT_S,
)
from orchestrator.sandboxes import baseline, results
from orchestrator.sandboxes.channel import Channel
from orchestrator.sandboxes.errors import TooLarge
from orchestrator.sandboxes.project_tools import (
    NO_TOOLS,
    Described,
    ToolFile,
    ToolSources,
    parse_descriptions,
    parse_files,
)
from orchestrator.sandboxes.replies import Reply
from orchestrator.sandboxes.repositories import Finding, found_since

OnOutput = Callable[[str, bytes], Awaitable[None] | None]

_GRACE_S: Final = 5.0


class LuaResult(NamedTuple):
    """How a script ended."""

    ok: bool
    """Whether it ran to its end."""
    value: JsonValue
    """What it returned; a list for several values, None for none."""
    output: str
    """What it printed."""
    error_code: str | None
    """One of the tool server's `lua_…` codes, None when `ok`."""
    error_message: str | None
    """The script's own message or the limit it met, None when `ok`."""
    elapsed_ms: float
    """Milliseconds in the sandbox."""


class Hit(NamedTuple):
    """One line that a search found."""

    path: str
    line: int
    text: str
    is_context: bool


class Page(NamedTuple):
    """Lines of a file."""

    text: str
    first_line: int
    lines: int
    total_lines: int
    content_hash: str
    """Guards a later write: pass it as `expected_hash`."""


class Replacement(NamedTuple):
    """One edit of a file."""

    old: str
    new: str
    replace_all: bool = False


class Edited(NamedTuple):
    """What an edit did."""

    replacements: int
    content_hash: str


class SandboxTools:
    """Operations of one sandbox over a channel that stays the caller's to close."""

    def __init__(self, channel: Channel) -> None:
        """Use `channel` from the event loop that connected it."""
        self._channel = channel

    async def exec_stream(
        self,
        command: Sequence[str] | str,
        on_output: OnOutput,
        timeout_s: float = COMMAND_TIMEOUT_S,
        cwd: str | None = None,
    ) -> int:
        """Run a command, pass its output on as it appears, return its exit code.

        A string is a shell line. Raises `ToolTimeout` after `timeout_s` seconds.
        """
        arguments: dict[str, Any] = {"timeout_s": timeout_s, "stream": True, "keep_bytes": 0}
        arguments["payload_command"] = True
        if cwd is not None:
            arguments["cwd"] = cwd
        words = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
        payload = b"\0".join(word.encode("utf-8", "surrogateescape") for word in words)
        reply = await self._channel.stream(
            "run", arguments, on_output, payload, timeout_s=timeout_s + _GRACE_S
        )
        return results.integer(reply.result, "exit_code")

    async def run_lua(
        self,
        script: str,
        timeout_s: float = TOOL_TIMEOUT_S,
        *,
        name: str = "script",
        tools: ToolSources = NO_TOOLS,
        reset: bool = False,
    ) -> LuaResult:
        """Run a script in the sandbox's interpreter; its failure is a result, not an exception.

        It sees `tools` as `jido.tools`. `reset` forgets the globals of earlier scripts first.
        """
        payload = script.encode("utf-8", "replace")
        if len(payload) > MAX_OUTPUT_BYTES:
            raise TooLarge(f"the script is larger than {MAX_OUTPUT_BYTES} bytes")
        arguments = {"timeout_s": timeout_s, "name": name, "reset": reset, **tools.arguments}
        reply = await self._channel.request(
            "lua", arguments, payload + tools.payload, timeout_s=timeout_s + _GRACE_S
        )
        return _parse_lua(reply)

    async def call_tool(
        self,
        name: str,
        arguments: Mapping[str, JsonValue],
        tools: ToolSources,
        timeout_s: float = TOOL_TIMEOUT_S,
        *,
        reset: bool = False,
    ) -> LuaResult:
        """Call one of `tools`, a project's own; its failure is a result, not an exception."""
        payload = json.dumps(arguments).encode()
        if len(payload) > MAX_OUTPUT_BYTES:
            raise TooLarge(f"the arguments are larger than {MAX_OUTPUT_BYTES} bytes")
        told = {"timeout_s": timeout_s, "name": name, "tool": name, "reset": reset}
        told |= tools.arguments
        reply = await self._channel.request(
            "lua", told, payload + tools.payload, timeout_s=timeout_s + _GRACE_S
        )
        return _parse_lua(reply)

    async def tool_files(self) -> list[ToolFile]:
        """The files of the project's own tools as they are now, none of them trusted."""
        return parse_files(await self._channel.request("tool_files"))

    async def describe_tools(self, sources: Mapping[str, bytes]) -> dict[str, Described]:
        """What each of `sources` declares, as the sandbox read it."""
        tools = ToolSources(sources)
        reply = await self._channel.request("tool_describe", tools.arguments, tools.payload)
        return parse_descriptions(reply, sources)

    async def reset_lua(self) -> None:
        """Forget all globals of earlier scripts."""
        await self._channel.request("lua_reset")

    async def read_lines(self, path: str, offset: int = 1, limit: int = 2000) -> Page:
        """Read text: `limit` lines from the 1-based line `offset`."""
        arguments = {"path": path, "offset": offset, "limit": limit}
        reply = await self._channel.request("read", arguments)
        result = reply.result
        return Page(
            text=reply.payload.decode("utf-8", "replace"),
            first_line=results.integer(result, "first_line"),
            lines=results.integer(result, "lines"),
            total_lines=results.integer(result, "total_lines"),
            content_hash=results.text(result, "hash"),
        )

    async def write(self, path: str, content: bytes, *, expected_hash: str | None = None) -> str:
        """Write a file and return its hash; raises `Changed` when it is not what was read.

        `expected_hash` None writes whatever is there; `"absent"` wants no file there.
        """
        if len(content) > MAX_WRITE_BYTES:
            raise TooLarge(f"{path}: larger than {MAX_WRITE_BYTES} bytes")
        arguments = {"path": path, "expected_hash": expected_hash}
        reply = await self._channel.request("write", arguments, content)
        return results.text(reply.result, "hash")

    async def edit(
        self, path: str, edits: Sequence[Replacement], *, expected_hash: str | None = None
    ) -> Edited:
        """Apply all edits or none; raises `NoMatch`, `Ambiguous`, `Changed`."""
        payload = json.dumps([edit._asdict() for edit in edits]).encode()
        arguments = {"path": path, "expected_hash": expected_hash}
        reply = await self._channel.request("edit", arguments, payload)
        count = results.integer(reply.result, "replacements")
        return Edited(count, results.text(reply.result, "hash"))

    async def find_files(self, query: str, limit: int = 20) -> list[str]:
        """Paths whose letters contain `query` in order, best first; ignored files are left out."""
        reply = await self._channel.request("find", {"query": query, "limit": limit})
        return _paths(results.parse_json(reply.payload))

    async def glob(self, pattern: str, limit: int = MAX_SEARCH_HITS) -> list[str]:
        """Paths matching a glob, newest first."""
        reply = await self._channel.request("glob", {"pattern": pattern, "limit": limit})
        return [results.text(row, "path") for row in results.json_rows(reply)]

    async def grep(
        self,
        pattern: str,
        *,
        path: str = ".",
        glob: str | None = None,
        ignore_case: bool = False,
        limit: int = MAX_SEARCH_HITS,
    ) -> list[Hit]:
        """Lines matching a regular expression."""
        arguments = {
            "pattern": pattern,
            "path": path,
            "glob": glob,
            "ignore_case": ignore_case,
            "limit": limit,
        }
        reply = await self._channel.request("grep", arguments)
        return [
            Hit(
                results.text(row, "path"),
                results.integer(row, "line"),
                results.text(row, "text"),
                row.get("context") is True,
            )
            for row in results.json_rows(reply)
        ]

    async def diff(self) -> str:
        """Changes since the session began, as git says them; new large files by name only.

        Empty where the project is no git repository.
        """
        return await baseline.changes(self._channel)

    async def repositories_since(self, moment: float) -> list[Finding]:
        """Repositories within the project made or changed since `moment`, seconds since 1970."""
        return await found_since(self._channel, moment)


def _paths(found: object) -> list[str]:
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise results.wrong()
    return found


def _parse_lua(reply: Reply) -> LuaResult:
    result, payload = reply.result, reply.payload
    split = results.integer(result, "value_bytes")
    if split + results.integer(result, "output_bytes") != len(payload) or split < 0:
        raise results.wrong()
    elapsed = result.get("elapsed_ms")
    if isinstance(elapsed, bool) or not isinstance(elapsed, (int, float)):
        raise results.wrong()
    error = result.get("error")
    if error is not None and not isinstance(error, dict):
        raise results.wrong()
    return LuaResult(
        ok=results.flag(result, "ok"),
        value=results.parse_json(payload[:split]) if split else None,
        output=payload[split:].decode("utf-8", "replace"),
        error_code=None if error is None else _lua_code(error),
        error_message=None if error is None else results.text(error, "message")[:8192],
        elapsed_ms=float(elapsed),
    )


def _lua_code(error: dict[str, Any]) -> str:
    """The code of a script's error; a code nobody knows is `lua_error`."""
    code = error.get("code")
    return code if code in _LUA_CODES else "lua_error"


_LUA_CODES: Final = ("lua_error", "lua_instructions", "lua_memory", "lua_output", "lua_timeout")
