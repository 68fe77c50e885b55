"""Work in a session's sandbox that a client asks for itself: commands, Lua, files, changes.

Owns the connection for the length of one call and what a failure inside means to
the caller. Refuses to run anything outside: all of it goes down the channel.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, Literal

from orchestrator.domain.errors import (
    InvalidArgument,
    JidoError,
    SandboxUnavailable,
    SessionNotReady,
)
from orchestrator.domain.limits import COMMAND_TIMEOUT_S, TOOL_TIMEOUT_S
from orchestrator.domain.session import Session
from orchestrator.sandboxes import errors as sandbox_errors
from orchestrator.sandboxes.channel import Channel
from orchestrator.sandboxes.connecting import PATIENCE_S, connect
from orchestrator.sandboxes.errors import ChannelClosed
from orchestrator.sandboxes.tools import SandboxTools
from orchestrator.services import project_tools
from orchestrator.services.changes import read_changes, warning_of
from orchestrator.settings import Settings
from orchestrator.store.facade import Store
from orchestrator.wire.bodies import Diff, FileHit, LuaOutcome, ToolInfo

CONNECT_TIMEOUT_S: Final = 5.0
"""Seconds until a sandbox that does not greet counts as unavailable."""

TIMED_OUT: Final = 124
"""Exit code told for a command that was ended at its timeout, as timeout(1) does."""

NOT_FOUND: Final = 127
"""Exit code told for a command that does not exist, as shells do."""

_REFUSALS: Final = (sandbox_errors.InvalidArgument, sandbox_errors.TooLarge)

_LOOK_AGAIN_S: Final = 0.5
"""Seconds after which a waiting call looks again although nothing woke it."""

_WAITING_CHUNKS: Final = 64
"""Chunks of output held for a slow reader; the sandbox is not read meanwhile."""

MAX_ARGUMENTS: Final = 10_000
"""Words of a command."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes a command wrote."""

    stream: Literal["stdout", "stderr"]
    data: bytes


@dataclass(frozen=True, slots=True)
class Exit:
    """The end of a command."""

    code: int
    timed_out: bool = False


Output = Chunk | Exit


class ExecutionService:
    """Reaches the tool servers of live sessions."""

    def __init__(self, store: Store, settings: Settings) -> None:
        """Find sessions in `store` and their channels through `settings`."""
        self._store = store
        self._settings = settings

    async def execute(
        self, session_id: str, command: list[str] | str, timeout_s: float | None
    ) -> AsyncGenerator[Output, None]:
        """Start a command; its output follows, then its exit.

        Leaving the iterator ends the command. Raises SessionNotFound, SessionNotReady,
        InvalidArgument or SandboxUnavailable, all before the first chunk.
        """
        _check_command(command)
        channel = await self._connect(session_id)
        output = _run(channel, command, timeout_s or COMMAND_TIMEOUT_S)
        await anext(output)
        return output

    async def lua(
        self, session_id: str, script: str, timeout_s: float | None, *, reset: bool = False
    ) -> LuaOutcome:
        """Run a script, with `reset` in a fresh interpreter; its failure is an outcome.

        It sees the project's trusted tools. Raises SessionNotFound, SessionNotReady,
        SandboxUnavailable, or InvalidSettings when the list of trust cannot be read.
        """
        async with self._tools(session_id) as tools:
            sources = (await self._loaded(session_id, tools)).sources
            seconds = timeout_s or TOOL_TIMEOUT_S
            result = await tools.run_lua(script, seconds, tools=sources, reset=reset)
        return project_tools.outcome_of(result)

    async def call_tool(
        self,
        session_id: str,
        name: str,
        arguments: dict[str, Any],
        timeout_s: float | None,
        *,
        reset: bool = False,
    ) -> LuaOutcome:
        """Call one of the project's own tools, with `reset` in a fresh interpreter.

        Its own failure is an outcome. Raises ProjectToolNotFound, ProjectToolNotTrusted,
        InvalidProjectTool, InvalidArgument, and as `lua`.
        """
        async with self._tools(session_id) as tools:
            loaded = await self._loaded(session_id, tools)
            seconds = timeout_s or TOOL_TIMEOUT_S
            return await project_tools.call(tools, loaded, name, arguments, seconds, reset=reset)

    async def tools(self, session_id: str) -> list[ToolInfo]:
        """Return the project's own tools, those that are not trusted included; errors as `lua`."""
        async with self._tools(session_id) as tools:
            loaded = await self._loaded(session_id, tools)
            return project_tools.listing(await project_tools.declare(tools, loaded))

    async def _loaded(self, session_id: str, tools: SandboxTools) -> project_tools.Loaded:
        session = await self._store.sessions.get(session_id)
        return await project_tools.load(tools, self._settings.home, session.project_path)

    async def files(self, session_id: str, query: str, limit: int) -> list[FileHit]:
        """Return the files whose names match best, best first; errors as `lua`."""
        async with self._tools(session_id) as tools:
            names = await tools.find_files(query, limit)
        return [FileHit(path=name, score=1 / rank) for rank, name in enumerate(names, start=1)]

    async def diff(self, session_id: str) -> Diff:
        """Return the changes since the session began; errors as `lua`."""
        async with self._tools(session_id) as tools:
            text = await tools.diff()
            began = (await self._store.sessions.get(session_id)).created_at.timestamp()
            try:
                findings = await tools.repositories_since(began)
            except sandbox_errors.ToolTimeout:
                # A tree too large to search has no warnings; its changes are told all the same.
                findings = []
        changes = read_changes(text)
        return changes.model_copy(update={"warnings": [warning_of(each) for each in findings]})

    async def _connect(self, session_id: str) -> Channel:
        """Connect to a ready session's sandbox, waiting for one that is away for a moment."""
        session = await self._store.sessions.get(session_id)
        if session.status == "restarting":
            session = await self._restarted(session_id)
        _require_ready(session)
        path = str(self._settings.channel_path(session_id))
        try:
            return await connect(path, CONNECT_TIMEOUT_S)
        except ChannelClosed:
            # A sandbox that has just been seen to end is told as such.
            _require_ready(await self._store.sessions.get(session_id))
            raise

    async def _restarted(self, session_id: str) -> Session:
        """Return the session once it restarts no more, or after a while."""
        deadline = time.monotonic() + PATIENCE_S
        with self._store.signals.watch(f"session:{session_id}") as watch:
            while True:
                session = await self._store.sessions.get(session_id)
                left = deadline - time.monotonic()
                if session.status != "restarting" or left <= 0:
                    return session
                await watch.wait(min(left, _LOOK_AGAIN_S))

    @asynccontextmanager
    async def _tools(self, session_id: str) -> AsyncIterator[SandboxTools]:
        channel = await self._connect(session_id)
        try:
            yield SandboxTools(channel)
        except _REFUSALS as error:
            raise InvalidArgument(f"The sandbox refuses this: {error.detail}.") from error
        except sandbox_errors.ToolError as error:
            raise SandboxUnavailable(
                f"The sandbox could not do this: {error.detail}", tool_code=error.code
            ) from error
        finally:
            channel.close()


def _require_ready(session: Session) -> None:
    if session.status != "ready":
        raise SessionNotReady(
            f"The session is {session.status}. "
            + (session.error or "Wait until it is ready, or restart it.")
        )


def _check_command(command: list[str] | str) -> None:
    words = [command] if isinstance(command, str) else command
    if not words or not words[0].strip():
        raise InvalidArgument("The command is empty. Name a program.")
    if len(words) > MAX_ARGUMENTS or any("\0" in word for word in words):
        raise InvalidArgument(
            f"A command has at most {MAX_ARGUMENTS:,} words and no NUL characters."
        )


async def _run(
    channel: Channel, command: list[str] | str, timeout_s: float
) -> AsyncGenerator[Output, None]:
    """Yield nothing of worth once, so that it has begun and cleans up, then the output."""
    waiting: asyncio.Queue[Output | JidoError] = asyncio.Queue(_WAITING_CHUNKS)
    running = asyncio.create_task(_work(channel, command, timeout_s, waiting))
    try:
        yield Chunk("stdout", b"")
        while not isinstance(part := await waiting.get(), Exit):
            if isinstance(part, JidoError):
                raise part
            yield part
        yield part
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        channel.close()


async def _work(
    channel: Channel,
    command: list[str] | str,
    timeout_s: float,
    waiting: asyncio.Queue[Output | JidoError],
) -> None:
    async def take(stream: str, data: bytes) -> None:
        await waiting.put(Chunk("stderr" if stream == "stderr" else "stdout", data))

    end: Output | JidoError
    try:
        end = Exit(await SandboxTools(channel).exec_stream(command, take, timeout_s))
    except sandbox_errors.ToolTimeout:
        end = Exit(TIMED_OUT, timed_out=True)
    except sandbox_errors.FileMissing as error:
        await waiting.put(Chunk("stderr", f"{error.detail}\n".encode()))
        end = Exit(NOT_FOUND)
    except JidoError as error:
        end = error
    await waiting.put(end)
