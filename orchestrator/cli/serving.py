"""The api's own process: uvicorn on a port of its own, or on a socket that was inherited."""

from __future__ import annotations

import socket

import uvicorn

from orchestrator.api.app import create_app
from orchestrator.local.home import ensure_token
from orchestrator.local.launch import listen
from orchestrator.settings import Settings

_GRACE_S = 3
"""Seconds that open answers have at the end; event streams never end by themselves."""


def serve_api(settings: Settings, listen_fd: int | None) -> int:
    """Serve until a signal; `listen_fd` None listens on host and port of the settings.

    Raises PortInUse and HomeUnusable.
    """
    ensure_token(settings)
    if listen_fd is None:
        listener = listen(settings.host, settings.port)
    else:
        listener = socket.socket(fileno=listen_fd)
    config = uvicorn.Config(
        create_app(settings),
        log_config=None,
        access_log=False,
        lifespan="on",
        server_header=False,
        date_header=True,
        timeout_graceful_shutdown=_GRACE_S,
        timeout_keep_alive=75,
    )
    server = uvicorn.Server(config)
    server.run(sockets=[listener])
    return 0 if server.started else 1
