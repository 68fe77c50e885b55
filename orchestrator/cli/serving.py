"""The api's own process: on a port of its own, or on a socket that was inherited."""

from __future__ import annotations

import asyncio
import socket

from orchestrator.api.app import create_app
from orchestrator.api.server import serve
from orchestrator.local.home import ensure_token
from orchestrator.local.launch import listen
from orchestrator.logs import configure_logging
from orchestrator.services.bundle import build_services
from orchestrator.settings import Settings
from orchestrator.wiring import open_store


def serve_api(settings: Settings, listen_fd: int | None) -> None:
    """Serve until a signal; `listen_fd` None listens on host and port of the settings.

    Raises PortInUse and HomeUnusable.
    """
    token = ensure_token(settings)
    configure_logging(settings.log_level, secrets=(token,))
    if listen_fd is None:
        listener = listen(settings.host, settings.port)
    else:
        listener = socket.socket(fileno=listen_fd)
    listener.setblocking(False)
    asyncio.run(_serve(settings, token, listener))


async def _serve(settings: Settings, token: str, listener: socket.socket) -> None:
    async with open_store(settings) as store:
        await serve(create_app(build_services(store, settings), settings, token), listener)
