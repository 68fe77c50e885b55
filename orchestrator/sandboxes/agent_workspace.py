"""The workspace of the agent's tools: what they need beyond pydantic-ai's protocol.

Persistent shells, background jobs, writes that overwrite only what the agent has read, and
edits that forgive whitespace. What the agent has read is remembered in the sandbox, for the
session's life.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from pydantic_ai.workspaces import CommandResult, WorkspaceCommand

from orchestrator.sandboxes import results
from orchestrator.sandboxes.background_jobs import BackgroundJobs
from orchestrator.sandboxes.errors import Ambiguous, ChannelClosed, InvalidArgument, ToolError
from orchestrator.sandboxes.replies import Reply
from orchestrator.sandboxes.workspace import SandboxWorkspace, Translated, command_error, decode

KEPT_BYTES: Final = 24_000
"""Bytes kept of each output of an agent's command: head and tail, the cut marked. Both outputs
together are less than what a model is sent of a tool's answer."""

SEEN: Final = "seen"
"""Expects of a file what the agent last read or wrote there, or that it does not exist."""

_GRACE_S: Final = 10.0


class Preview(NamedTuple):
    """What edits would make of a file."""

    present: bytes
    """The whole content now."""
    changed: bytes
    """The whole content afterwards."""


class AgentWorkspace(SandboxWorkspace):
    """One session's project as the agent's own tools use it."""

    @property
    def jobs(self) -> BackgroundJobs:
        """The session's background jobs."""
        return BackgroundJobs(self.channel, self._environment)

    async def read_seen(self, path: str) -> bytes:
        """Read a whole file that the agent is shown, so that it may overwrite it later."""
        return await self._read(path, seen=True)

    async def write_expected(self, path: str, data: bytes, expected: str) -> None:
        """Write a file whose content must be as `expected`: `SEEN`, or the hash of its content.

        Raises WorkspaceError when it is not; nothing is written then.
        """
        with Translated(path):
            await self._call("write", path, data, hash=False, expected_hash=expected)

    async def preview_edits(
        self, path: str, edits: Sequence[tuple[str, str]]
    ) -> Preview | str | None:
        """Return what the edits would do, or why they are ambiguous, or None when they fail.

        Nothing is written. Tolerates other whitespace and indentation than the file's.
        """
        payload = json.dumps([{"old": old, "new": new} for old, new in edits]).encode()
        try:
            reply = await self._call("edit", path, payload, preview=True)
        except Ambiguous as error:
            return error.detail
        except (ToolError, ChannelClosed):
            return None
        split = results.integer(reply.result, "present_bytes")
        return Preview(reply.payload[:split], reply.payload[split:])

    async def run_capped(
        self,
        command: WorkspaceCommand,
        *,
        shell: bool = False,
        env: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> CommandResult:
        """Run a command as `run` does, but keep head and tail of what is too much, marked."""
        return await self._run_keeping({"keep_bytes": KEPT_BYTES}, command, shell, env, timeout)

    async def run_in_shell(
        self, command: str, name: str, timeout: float, *, reset: bool = False
    ) -> tuple[CommandResult, str | None]:
        """Run a command in the persistent shell `name`; returns its result and directory.

        The directory is None when the shell has ended. `reset` starts a fresh one first. A
        timeout ends the shell with the command. Raises as `run` does.
        """
        try:
            channel = await self.channel()
            if reset:
                await channel.request("shell_reset", {"name": name})
            reply = await self._in_shell(command, name, timeout)
            output = results.output_of(reply.result, reply.payload)
            code = results.integer(reply.result, "exit_code")
            cwd = None if reply.result.get("cwd") is None else results.text(reply.result, "cwd")
        except InvalidArgument as error:
            raise ValueError(error.detail) from None
        except (ToolError, ChannelClosed) as error:
            raise command_error(error, timeout) from None
        stdout, stderr = decode(output.stdout), decode(output.stderr)
        return CommandResult(exit_code=code, stdout=stdout, stderr=stderr), cwd

    async def _in_shell(self, command: str, name: str, timeout: float) -> Reply:
        channel = await self.channel()
        arguments: dict[str, Any] = {
            "name": name,
            "timeout_s": timeout,
            "keep_bytes": KEPT_BYTES,
        }
        payload, patience_s = os.fsencode(command), timeout + _GRACE_S
        if self.on_output is None:
            return await channel.request("shell_run", arguments, payload, timeout_s=patience_s)
        arguments["stream"] = True
        return await channel.stream(
            "shell_run", arguments, self.on_output, payload, timeout_s=patience_s
        )
