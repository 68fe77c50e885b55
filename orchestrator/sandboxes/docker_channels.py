"""How the channels of containers are served.

Owns which way each session's is: its tool server accepts on the socket itself once it has been
handed it, else a relay in this process carries bytes through a command in the container. The
first outlives this process. Refuses to call a channel served before its tool server has greeted.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog

from orchestrator.sandboxes.docker_containers import Containers
from orchestrator.sandboxes.endpoint import greet, listen_unix
from orchestrator.sandboxes.handover import Handover, HandoverFailed, hand_over
from orchestrator.sandboxes.project_layout import Layout
from orchestrator.sandboxes.relay import Relay
from orchestrator.sandboxes.runtime import SandboxSpec
from orchestrator.sandboxes.runtime_errors import SandboxStartFailed

CHANNEL_TIMEOUT_S: Final = 20.0
"""Seconds from the container's start to the tool server's hello."""

GREETING_TIMEOUT_S: Final = 5.0
"""Seconds for the hello of a tool server that has been handed its socket."""

MAX_REMEMBERED: Final = 256
"""Runtimes and projects without handover that are remembered; beyond, all are tried again."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Direct:
    """A channel whose socket the tool server itself accepts on."""

    socket_path: str

    async def close(self) -> None:
        """Leave it: it goes on without this process."""


class DockerChannels:
    """The channels of one installation's containers."""

    def __init__(self, containers: Containers) -> None:
        """Reach tool servers through `containers` where they cannot be handed a socket."""
        self._containers = containers
        self._served: dict[str, _Direct | Relay] = {}
        self._without_handover: set[str] = set()

    def offer(self, spec: SandboxSpec, layout: Layout) -> Handover | None:
        """Return where a new container's tool server shall wait; None where it cannot."""
        if layout.read_only or _kind(spec) in self._without_handover:
            return None
        return Handover.of(spec.project_path)

    def serves(self, session_id: str, socket_path: str) -> bool:
        """Say whether this session's channel is served at this path."""
        served = self._served.get(session_id)
        return served is not None and served.socket_path == socket_path

    def knows(self, session_id: str) -> bool:
        """Say whether this session has a channel."""
        return session_id in self._served

    async def open(
        self, spec: SandboxSpec, container_id: str, socket_path: str, handover: Handover | None
    ) -> None:
        """Serve the channel of a container just started.

        Raises SandboxStartFailed, TimeoutError.
        """
        await self._forget(spec.session_id)
        if handover is None:
            return await self._relay(spec.session_id, container_id, socket_path)
        try:
            await self._hand(spec.session_id, socket_path, handover)
        except (HandoverFailed, OSError, TimeoutError) as error:
            await self._relay(spec.session_id, container_id, socket_path)
            self._remember(spec, str(error) or type(error).__name__)

    async def adopt(
        self, session_id: str, container_id: str, socket_path: str, made_at: str
    ) -> None:
        """Serve the channel of a container that an earlier process started at `made_at`.

        Raises SandboxStartFailed, TimeoutError.
        """
        await self._forget(session_id)
        self._served[session_id] = _Direct(socket_path)
        try:
            if made_at not in ("", socket_path):
                # Connecting goes by the name's file, so the socket may have another.
                os.rename(made_at, socket_path)
            async with asyncio.timeout(GREETING_TIMEOUT_S):
                await greet(socket_path)
        except (OSError, TimeoutError, SandboxStartFailed):
            await self._relay(session_id, container_id, socket_path)

    async def end(self, session_id: str) -> None:
        """Serve it no longer and remove its socket; none is success."""
        served = self._served.pop(session_id, None)
        if served is not None:
            await served.close()
            remove_socket(served.socket_path)

    async def close(self) -> None:
        """Release what this process holds; tool servers go on accepting where they do."""
        served, self._served = self._served, {}
        for each in served.values():
            await each.close()

    async def _hand(self, session_id: str, socket_path: str, handover: Handover) -> None:
        # Kept from here on, so that `end` removes the socket however this goes.
        self._served[session_id] = _Direct(socket_path)
        with listen_unix(socket_path) as listener:
            # The tool server accepts in a blocking way of its own; the flag is shared with it.
            listener.setblocking(True)
            await hand_over(handover, listener)
        async with asyncio.timeout(GREETING_TIMEOUT_S):
            await greet(socket_path)

    async def _relay(self, session_id: str, container_id: str, socket_path: str) -> None:
        relay = Relay(socket_path, partial(self._containers.connect, container_id))
        async with asyncio.timeout(CHANNEL_TIMEOUT_S):
            await relay.start()
        self._served[session_id] = relay

    async def _forget(self, session_id: str) -> None:
        """Serve no longer what was; before the next, whose socket may have the same name."""
        old = self._served.pop(session_id, None)
        if old is not None:
            await old.close()

    def _remember(self, spec: SandboxSpec, reason: str) -> None:
        """Do not try again what was in vain, where the reason is not the tool server's end."""
        _log.info("channel.relayed", session_id=spec.session_id, reason=reason)
        if len(self._without_handover) >= MAX_REMEMBERED:
            self._without_handover.clear()
        self._without_handover.add(_kind(spec))


def remove_socket(path: str) -> None:
    """Remove the socket of a channel; none, and no path, is success."""
    with suppress(FileNotFoundError):
        os.unlink(path)


def _kind(spec: SandboxSpec) -> str:
    """Return what decides whether a handover works: the OCI runtime, else the file system."""
    return spec.oci_runtime or spec.project_path
