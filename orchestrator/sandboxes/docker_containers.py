"""The containers of one installation on one engine, by label.

Owns making, starting, finding and removing them, and what the engine says about
itself. Refuses to touch a container without the installation's labels, whatever
its name. What a container is made of is `docker_container`'s.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import docker

from orchestrator.sandboxes.docker_container import (
    INSTANCE_LABEL,
    RELAY,
    SESSION_LABEL,
    EngineTraits,
)
from orchestrator.sandboxes.docker_engine import Engine, EngineConflict, EngineNotFound
from orchestrator.sandboxes.docker_stream import ExecStream, StreamBroken, open_exec
from orchestrator.sandboxes.image_sources import SOURCES_LABEL, sources_digest
from orchestrator.sandboxes.runtime_errors import (
    ImageMissing,
    ImageOutdated,
    SandboxStartFailed,
    SandboxStopFailed,
)

REMOVAL_TIMEOUT_S: Final = 15.0
"""Seconds in which a container that is being removed must be gone."""


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What the engine said about itself."""

    oci_runtimes: frozenset[str]
    """Names of the OCI runtimes that are registered with it."""

    traits: EngineTraits
    """What decides how it is told to confine a container."""

    rootless: bool
    """Whether it runs as an ordinary user."""

    filters_calls: bool
    """Whether it can filter system calls at all."""


class Containers:
    """What one installation has on the engine."""

    def __init__(self, engine: Engine, instance_id: str) -> None:
        """Use `engine` for the containers labelled with `instance_id`."""
        self._engine = engine
        self._instance_id = instance_id
        self._facts: EngineFacts | None = None

    async def facts(self) -> EngineFacts:
        """Ask the engine about itself, once."""
        if self._facts is None:
            info = await self._engine.call(lambda client: client.info())
            self._facts = engine_facts(info)
        return self._facts

    async def require_image(self, image: str) -> None:
        """Return when the engine has the image, made of this program's sources.

        Raises ImageMissing, ImageOutdated.
        """
        try:
            facts = await self._engine.call(lambda client: client.inspect_image(image))
        except EngineNotFound as error:
            raise _image_missing(image) from error
        labels = (facts.get("Config") or {}).get("Labels") or {}
        if labels.get(SOURCES_LABEL) != sources_digest():
            raise ImageOutdated(
                f"The image {image} was made for another version of Jido Code. Rebuild it with "
                "`make image` (with Compose: `docker compose build`), or name another with "
                "JIDO_SANDBOX_IMAGE."
            )

    async def create(self, arguments: dict[str, Any]) -> str:
        """Make a container and return its id; when cancelled, none is left.

        Raises ImageMissing, and SandboxStartFailed for a name that is taken.
        """
        made: asyncio.Future[dict[str, Any]] = asyncio.ensure_future(
            self._engine.call(lambda client: client.create_container(**arguments))
        )
        try:
            return str((await asyncio.shield(made))["Id"])
        except asyncio.CancelledError:
            await asyncio.wait({made})
            if made.exception() is None:
                await self.remove(str(made.result()["Id"]))
            raise
        except EngineNotFound as error:
            raise _image_missing(arguments["image"]) from error
        except EngineConflict as error:
            raise SandboxStartFailed(
                f"A container named {arguments.get('name')} exists that is not ours. "
                "Remove or rename it."
            ) from error

    async def start(self, container_id: str) -> None:
        """Start a container; raises SandboxStartFailed when it was removed meanwhile."""
        try:
            await self._engine.call(partial(_start, container_id))
        except (EngineNotFound, EngineConflict) as error:
            raise SandboxStartFailed(f"The sandbox vanished while starting: {error}.") from error

    async def wait(self, container_id: str) -> int:
        """Return the exit code of a container once it has ended."""
        answer = await self._engine.call(lambda client: client.wait(container_id))
        return int(answer["StatusCode"])

    async def remove(self, container_id: str) -> None:
        """End and remove a container; returns when it is gone. Raises SandboxStopFailed."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + REMOVAL_TIMEOUT_S
        while True:
            try:
                await self._engine.call(partial(_remove, container_id))
            except EngineNotFound:
                return
            except EngineConflict as error:
                if clock() > deadline:
                    raise SandboxStopFailed(
                        f"The engine does not end a sandbox: {error}. Look at `docker ps`."
                    ) from error
                await asyncio.sleep(0.02)
            else:
                return

    async def of_session(self, session_id: str) -> list[dict[str, Any]]:
        """List a session's containers, dead ones included; at most one is alive."""
        return await self.labelled(f"{SESSION_LABEL}={session_id}")

    async def labelled(self, label: str) -> list[dict[str, Any]]:
        """List the installation's containers that carry a label, dead ones included."""
        labels = [label, f"{INSTANCE_LABEL}={self._instance_id}"]
        found = await self._engine.call(
            lambda client: client.containers(all=True, filters={"label": labels})
        )
        return list(found)

    async def state(self, container_id: str) -> dict[str, Any]:
        """Return the engine's account of a container; {} when it does not exist."""
        with suppress(EngineNotFound):
            seen = await self._engine.call(lambda client: client.inspect_container(container_id))
            return dict(seen["State"])
        return {}

    async def connect(self, container_id: str) -> ExecStream:
        """Open one connection to the tool server through a command in the container."""
        try:
            exec_id = await self._engine.call(partial(_create_exec, container_id))
            return await open_exec(self._engine.address, self._engine.version, exec_id)
        except (EngineNotFound, EngineConflict, StreamBroken, OSError) as error:
            raise SandboxStartFailed(f"The sandbox cannot be reached: {error}.") from error


def engine_facts(info: dict[str, Any]) -> EngineFacts:
    """Read what an engine answers about itself."""
    options = [str(each) for each in info.get("SecurityOptions") or []]
    names = {each.partition(",")[0] for each in options}
    profiles = [
        each.partition("profile=")[2] for each in options if each.startswith("name=seccomp")
    ]
    # A profile of the engine's owner is named by its file.
    own_filter = any(each.startswith("/") for each in profiles)
    traits = EngineTraits("name=userns" in names, own_filter)
    runtimes = frozenset(info.get("Runtimes") or {})
    return EngineFacts(runtimes, traits, "name=rootless" in names, bool(profiles))


def _image_missing(image: str) -> ImageMissing:
    return ImageMissing(
        f"The engine has no image {image}. Build it with `make image`, "
        "or name another with JIDO_SANDBOX_IMAGE."
    )


def _start(container_id: str, client: docker.APIClient) -> None:
    client.start(container_id)


def _remove(container_id: str, client: docker.APIClient) -> None:
    client.remove_container(container_id, force=True, v=True)


def _create_exec(container_id: str, client: docker.APIClient) -> str:
    made = client.exec_create(container_id, RELAY, stdin=True, stdout=True, stderr=False)
    return str(made["Id"])
