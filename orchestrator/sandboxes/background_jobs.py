"""Background jobs of a sandbox: commands that belong to the session and not to a turn.

Owns the translation between the tool server's operations and what is known of a job. Refuses,
as a broken protocol, a job that describes itself wrongly. Keeps nothing: every answer comes
from the sandbox.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from orchestrator.domain.jobs import Job, JobOutput, Limit, is_job_name
from orchestrator.sandboxes import results
from orchestrator.sandboxes.channel import Channel
from orchestrator.sandboxes.replies import Reply
from orchestrator.sandboxes.workspace import Translated, command_arguments

MAX_WAIT_S: Final = 60.0
"""Seconds that one look may wait; the tool server refuses more."""

_GRACE_S: Final = 10.0
_TIMEOUT_S: Final = 30.0
_LIMITS: Final[dict[object, Limit]] = {
    "memory_limit": "memory_limit",
    "disk_limit": "disk_limit",
}
_SHELL: Final = "/bin/sh -c "


class BackgroundJobs:
    """The jobs of one session; raises what the workspace's operations raise."""

    def __init__(
        self, channel: Callable[[], Awaitable[Channel]], environment: Mapping[str, str]
    ) -> None:
        """Do no I/O; `environment` is added to that of every job."""
        self._channel = channel
        self._environment = dict(environment)

    async def start(self, command: str) -> Job:
        """Start a shell line in the project's directory."""
        arguments, payload = command_arguments(command, shell=True)
        arguments["env"] = self._environment
        with Translated(""):
            return _job((await self._call("job_start", arguments, payload)).result)

    async def look(self, name: str, cursor: int, wait_s: float) -> JobOutput:
        """Return a job and its output from `cursor` on.

        Waits up to `wait_s` seconds, at most `MAX_WAIT_S`, for output or for the job's end. A
        caller that is cancelled ends the wait, never the job.
        """
        wait_s = max(0.0, min(wait_s, MAX_WAIT_S))
        arguments = {"job": name, "cursor": cursor, "wait_s": wait_s or None}
        with Translated(""):
            reply = await self._call("job_poll", arguments, timeout_s=wait_s + _GRACE_S)
            cursor, lost = (results.integer(reply.result, each) for each in ("cursor", "lost"))
            if min(cursor, lost) < 0:
                raise results.wrong()
            return JobOutput(_job(reply.result), reply.payload, cursor, lost)

    async def send(self, name: str, data: bytes, *, close: bool) -> None:
        """Write to a job's standard input without waiting for it to read, then perhaps close it."""
        with Translated(""):
            await self._call("job_input", {"job": name, "close": close}, data)

    async def kill(self, name: str) -> Job:
        """End a job and everything it started; harmless when it has ended."""
        with Translated(""):
            return _job((await self._call("job_kill", {"job": name})).result)

    async def listing(self) -> list[Job]:
        """Return all jobs that are remembered, oldest first."""
        with Translated(""):
            return [_job(row) for row in results.json_rows(await self._call("job_list", {}))]

    async def _call(
        self,
        operation: str,
        arguments: dict[str, Any],
        payload: bytes = b"",
        timeout_s: float = _TIMEOUT_S,
    ) -> Reply:
        channel = await self._channel()
        return await channel.request(operation, arguments, payload, timeout_s=timeout_s)


def _job(described: dict[str, Any]) -> Job:
    name = results.text(described, "job")
    if not is_job_name(name):
        raise results.wrong()
    stopped = described.get("stopped")
    return Job(
        name=name,
        command=results.text(described, "command").removeprefix(_SHELL),
        running=results.flag(described, "running"),
        exit_code=results.optional_integer(described, "exit_code"),
        stopped=_LIMITS.get(stopped) if isinstance(stopped, str) else None,
    )
