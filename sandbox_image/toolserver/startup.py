"""From the command line to a serving process: options, listening socket, first-process duties."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading

from sandbox_image.toolserver.handover import Door, checked
from sandbox_image.toolserver.interpreter import InterpreterLimits
from sandbox_image.toolserver.limits import Allowance
from sandbox_image.toolserver.roots import Root
from sandbox_image.toolserver.server import Server
from sandbox_image.toolserver.services import Services
from sandbox_image.toolserver.threads import ThreadRefused, start_thread

USAGE = (
    "usage: toolserver --root DIRECTORY (--abstract NAME | --listen-fd N | --unix PATH)"
    " [--handover NAME] [--lua-command WORD…] [--limits JSON] [--allowance JSON]"
)

_BACKLOG = 64
_THREAD_STACK_BYTES = 512 * 1024
_SWITCH_INTERVAL_S = 0.001
"""Seconds a busy thread keeps the interpreter from a waiting one: search must not delay reads."""


class Options:
    """The parsed command line."""

    def __init__(self) -> None:
        """Start with nothing given."""
        self.root = ""
        self.abstract: str | None = None
        self.listen_fd: int | None = None
        self.unix: str | None = None
        self.handover: str | None = None
        self.lua_command = default_lua_command()
        self.limits = InterpreterLimits()
        self.allowance = Allowance()


def default_lua_command() -> list[str]:
    """The system's interpreter on the prelude that is shipped beside this package."""
    parent = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return ["lua5.4", os.path.join(parent, "lua", "prelude.lua")]


def parse(words: list[str]) -> Options:
    """Parse the command line; raises `ValueError` with what is wrong."""
    options = Options()
    remaining = words[::-1]
    while remaining:
        word = remaining.pop()
        if word == "--lua-command":
            command = []
            while remaining and remaining[-1] not in _OPTIONS:
                command.append(remaining.pop())
            if not command:
                raise ValueError("--lua-command needs a command")
            options.lua_command = command
        elif word not in _OPTIONS or not remaining:
            raise ValueError(f"unknown or incomplete option {word!r}")
        else:
            _set(options, word, remaining.pop())
    given = (options.abstract, options.listen_fd, options.unix)
    if not os.path.isabs(options.root) or sum(value is not None for value in given) != 1:
        raise ValueError("an absolute --root and exactly one place to listen are needed")
    return options


_OPTIONS = (
    "--root",
    "--abstract",
    "--listen-fd",
    "--unix",
    "--handover",
    "--lua-command",
    "--limits",
    "--allowance",
)


def _set(options: Options, word: str, value: str) -> None:
    if word == "--root":
        options.root = value
    elif word == "--abstract":
        options.abstract = value
    elif word == "--listen-fd":
        options.listen_fd = int(value)
    elif word == "--unix":
        options.unix = value
    elif word == "--handover":
        options.handover = checked(value)
    elif word == "--allowance":
        options.allowance = Allowance.parse(value)
    else:
        limits = json.loads(value)
        if not isinstance(limits, dict):
            raise ValueError("--limits is not a JSON object")
        options.limits = InterpreterLimits.parse(limits)


def listen(options: Options) -> socket.socket:
    """Open the listening socket; no child ever inherits it."""
    if options.listen_fd is not None:
        listener = socket.socket(fileno=options.listen_fd)
        listener.set_inheritable(False)
        listener.setblocking(True)
        return listener
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind("\0" + options.abstract if options.abstract is not None else options.unix or "")
    if options.unix is not None:
        os.chmod(options.unix, 0o600)
    listener.listen(_BACKLOG)
    return listener


def serve_handed(server: Server, name: str) -> None:
    """Serve the socket that is handed over at `name` too; without one the first must do."""
    try:
        door = Door(name)
    except OSError:
        # A project that cannot be written, or a file system without sockets.
        return
    try:
        start_thread(_serve_behind, server, door)
    except ThreadRefused:
        door.close()


def _serve_behind(server: Server, door: Door) -> None:
    listener = door.receive()
    if listener is not None:
        server.serve_forever(listener)


def become_first_process() -> None:
    """As process 1, stay behind as the one that reaps orphans and end with the server."""
    server = os.fork()
    if server == 0:
        return
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: os.kill(server, received))
    while True:
        pid, status = os.wait()
        if pid == server:
            code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
            os._exit(code)


def main(words: list[str]) -> int:
    """Serve until SIGTERM; returns 2 for a wrong command line."""
    try:
        options = parse(words)
        root = Root(options.root)
        os.chdir(root.path)
        listener = listen(options)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"toolserver: {error}\n{USAGE}\n")
        return 2
    if os.getpid() == 1:
        become_first_process()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.stack_size(_THREAD_STACK_BYTES)
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    services = Services(
        root, dict(os.environ), options.lua_command, options.limits, options.allowance
    )
    services.prepare()
    server = Server(services)
    try:
        if options.handover is not None:
            serve_handed(server, options.handover)
        server.serve_forever(listener)
    finally:
        server.close()
        services.close()
    return 0
