"""Operations that start processes: commands, persistent shells, background jobs."""

from __future__ import annotations

import os
import time

from sandbox_image.toolserver import commands, shells
from sandbox_image.toolserver.environment import merge
from sandbox_image.toolserver.errors import ToolFailure
from sandbox_image.toolserver.pace import Pace
from sandbox_image.toolserver.replies import json_reply
from sandbox_image.toolserver.requests import Request
from sandbox_image.toolserver.services import Services

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox_image.toolserver.replies import Reply

MAX_ARGUMENTS = 10_000
"""Words of one command."""

MAX_VARIABLES = 1000
"""Environment variables of one request."""

DEFAULT_OUTPUT_BYTES = 1024 * 1024
"""Bytes of each stream kept when a request names no limit."""


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


def _capture(request: Request) -> tuple[commands.Collector, commands.OnOutput]:
    """What collects the output of one command as the request wants it, and passes it on."""
    arguments = request.arguments
    limit = arguments.integer("keep_bytes", DEFAULT_OUTPUT_BYTES, 0, commands.MAX_KEPT_BYTES // 2)
    collector = commands.Collector(limit)
    stream, bounded = arguments.flag("stream"), arguments.flag("stop_at_limit")
    pace = Pace(time.monotonic())

    def on_output(name: str, data: bytes) -> None:
        if collector.add(name, data) > limit and bounded:
            raise ToolFailure("too_large", f"the command wrote more than {limit} bytes")
        if stream:
            request.stream(name, data)
            wait_s = pace.wait_s(len(data), time.monotonic())
            if wait_s:
                time.sleep(wait_s)

    return collector, on_output


def _within_limits(
    services: Services,
    stop: Callable[[str], None],
    on_output: commands.OnOutput,
    work: Callable[[], int],
) -> int:
    """Do `work`, which `stop` ends, and say on its error output what limits did to it."""
    kills = services.watch.memory_kills
    try:
        with services.activity.command(stop):
            code = work()
    except ToolFailure as failure:
        if failure.code == "disk_limit":
            failure.message = f"the command was ended: {services.disk.words()}"
        raise
    if services.watch.look() > kills:
        on_output("stderr", services.watch.memory_words(killed=code == 137))
    if services.disk.full:
        services.disk.look_again()
        on_output("stderr", f"{services.disk.words()}\n".encode())
    return code


def run(services: Services, request: Request) -> Reply:
    """Run one command to its end."""
    arguments = request.arguments
    words = command_of(request)
    stdin = None if arguments.flag("payload_command") else request.payload
    environment = merge(services.environment, arguments.string_map("env", MAX_VARIABLES))
    timeout_s = request.bounded(arguments.seconds("timeout_s", None, commands.MAX_TIMEOUT_S))
    collector, on_output = _capture(request)
    try:
        with services.root.directory(arguments.optional_text("cwd")) as directory:
            command = commands.Command(words, environment, directory)
            request.on_cancel(lambda: command.stop("cancelled"))
            code = _within_limits(
                services, command.stop, on_output, lambda: command.run(stdin, timeout_s, on_output)
            )
    except ToolFailure as failure:
        failure.data, failure.payload = collector.reply()
        raise
    described, kept = collector.reply()
    return {"exit_code": code, **described}, kept


def shell_run(services: Services, request: Request) -> Reply:
    """Run one command in a persistent shell, which starts at its first."""
    arguments = request.arguments
    name, command = arguments.text("name", "main"), request.payload
    timeout_s = request.bounded(arguments.seconds("timeout_s", None, commands.MAX_TIMEOUT_S))
    collector, on_output = _capture(request)
    if b"\0" in command or len(command) > shells.MAX_COMMAND_BYTES:
        raise ToolFailure("invalid_argument", "the command has NUL or is too long")
    shell, fresh = services.shells.open(name)
    request.on_cancel(lambda: shell.stop("cancelled"))
    try:
        code = _within_limits(
            services, shell.stop, on_output, lambda: shell.run(command, timeout_s, on_output)
        )
    except ToolFailure as failure:
        if not shell.alive:
            failure.message += f"; the shell {name!r} was reset"
        described, failure.payload = collector.reply()
        failure.data = {**described, "reset": not shell.alive}
        raise
    finally:
        request.on_cancel(None)
        cwd = shell.directory
        if cwd is None:
            services.shells.discard(name, shell)
    described, kept = collector.reply()
    state = {"exit_code": code, "fresh": fresh, "ended": cwd is None, "cwd": cwd}
    return {**state, **described}, kept


def shell_reset(services: Services, request: Request) -> Reply:
    """End a persistent shell."""
    return {"existed": services.shells.reset(request.arguments.text("name", "main"))}, b""


def shell_list(services: Services, request: Request) -> Reply:
    """List the open shells."""
    return json_reply(services.shells.describe())


def job_start(services: Services, request: Request) -> Reply:
    """Start a background job."""
    arguments = request.arguments
    words = command_of(request)
    environment = merge(services.environment, arguments.string_map("env", MAX_VARIABLES))
    with services.root.directory(arguments.optional_text("cwd")) as directory:
        return services.jobs.start(words, environment, directory), b""


def job_poll(services: Services, request: Request) -> Reply:
    """Output of a job from a position on, and its state."""
    arguments = request.arguments
    job = services.jobs.get(arguments.text("job"))
    cursor = arguments.integer("cursor", 0, 0, 1 << 62)
    wait_s = request.bounded(arguments.seconds("wait_s", 0.0, 60.0))
    request.on_cancel(job.wake)
    return job.poll(cursor, wait_s or 0.0, lambda: request.cancelled)


def job_input(services: Services, request: Request) -> Reply:
    """Write the payload to a job's standard input."""
    arguments = request.arguments
    services.jobs.get(arguments.text("job")).write(request.payload, arguments.flag("close"))
    return {}, b""


def job_kill(services: Services, request: Request) -> Reply:
    """End a job and all it started."""
    return services.jobs.get(request.arguments.text("job")).kill(), b""


def job_list(services: Services, request: Request) -> Reply:
    """List the jobs."""
    return json_reply(services.jobs.describe())


def job_forget(services: Services, request: Request) -> Reply:
    """Drop an ended job."""
    services.jobs.forget(request.arguments.text("job"))
    return {}, b""
