"""Serving the application with uvicorn until asked to stop.

Owns the listening socket's ways and a prompt end: open event streams are told to
end before the server waits for its connections.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Final

import uvicorn
from fastapi import FastAPI

from orchestrator.settings import Settings

_GRACE_S: Final = 5
"""Seconds that requests under way may take once the server was asked to stop."""


class Server(uvicorn.Server):
    """uvicorn, telling when it takes requests and ending streams before it waits."""

    def __init__(self, app: FastAPI, on_ready: Callable[[int], None] | None = None) -> None:
        """Serve `app`; `on_ready` is called once with the port."""
        config = uvicorn.Config(
            app,
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            ws="none",
            timeout_graceful_shutdown=_GRACE_S,
        )
        super().__init__(config)
        self._app = app
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        if self._on_ready is not None and sockets and not self.should_exit:
            self._on_ready(sockets[0].getsockname()[1])

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End streams, then wait for what is under way."""
        self._app.state.streams.stop()
        await super().shutdown(sockets)


def bind(settings: Settings) -> socket.socket:
    """Return a listening socket at the settings' address; raises OSError when it is taken."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host.strip("[]"), settings.port))
        listener.listen(256)
    except BaseException:  # raised again once cleaned up
        listener.close()
        raise
    listener.setblocking(False)
    return listener


async def serve(
    app: FastAPI, listener: socket.socket, on_ready: Callable[[int], None] | None = None
) -> None:
    """Serve until SIGTERM or SIGINT; the socket is closed at the end."""
    await Server(app, on_ready).serve([listener])
