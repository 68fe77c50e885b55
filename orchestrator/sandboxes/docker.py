"""Sandboxes as containers of a Docker engine on this machine.

Owns the life of a session's container: prepared project, created, started, its
channel served, watched, ended, adopted after a restart. Refuses containers that
do not carry its own labels, whatever their name.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import docker

from orchestrator.sandboxes import project_layout
from orchestrator.sandboxes.docker_container import (
    INSTANCE_LABEL,
    PREPARATION_LABEL,
    RELAY,
    SESSION_LABEL,
    container_name,
    preparation_container,
    session_container,
)
from orchestrator.sandboxes.docker_engine import Engine, EngineConflict, EngineNotFound
from orchestrator.sandboxes.docker_stream import ExecStream, StreamBroken, open_exec
from orchestrator.sandboxes.docker_watch import EngineWatch, Tracked
from orchestrator.sandboxes.limits_check import require_sane
from orchestrator.sandboxes.mounts import can_act_as, prepare_as_owner, survey_as_owner
from orchestrator.sandboxes.project_layout import Layout
from orchestrator.sandboxes.relay import Relay
from orchestrator.sandboxes.runtime import RunningSandbox, SandboxExit, SandboxSpec
from orchestrator.sandboxes.runtime_errors import (
    ImageMissing,
    NetworkModeUnsupported,
    OciRuntimeMissing,
    ProjectNotPreparable,
    RuntimeUnavailable,
    SandboxStartFailed,
    SandboxStopFailed,
    UnsafeProjectLayout,
)

CHANNEL_TIMEOUT_S: Final = 20.0
"""Seconds from the container's start to the tool server's hello."""

REMOVAL_TIMEOUT_S: Final = 15.0
"""Seconds in which a container that is being removed must be gone."""

_PREPARED: Final = 0
_READ_ONLY: Final = 4
_UNSAFE: Final = 5


@dataclass(frozen=True, slots=True)
class _EngineFacts:
    """What the engine said about itself."""

    oci_runtimes: frozenset[str]
    user_namespaces: bool
    rootless: bool


class DockerRuntime:
    """The Docker body of SandboxRuntime."""

    def __init__(self, instance_id: str, image: str, address: str | None = None) -> None:
        """Prepare for the installation `instance_id`; `image` is what `check` looks for.

        `address` is the engine's; None means DOCKER_HOST, else the usual socket.
        """
        self._instance_id = instance_id
        self._image = image
        self._engine = Engine(address)
        self._watch = EngineWatch(self._engine, instance_id)
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._relays: dict[str, Relay] = {}
        self._facts: _EngineFacts | None = None

    @property
    def name(self) -> str:
        """Name in settings and in a session's record."""
        return "docker"

    async def check(self) -> None:
        """Return when an engine answers and has the sandbox image.

        Raises RuntimeUnavailable, ImageMissing.
        """
        facts = await self._engine_facts()
        if facts.rootless:
            raise RuntimeUnavailable(
                "The engine runs rootless: users inside are not the users outside, so files "
                "would change owner. Use a rootful engine or JIDO_RUNTIME=bubblewrap."
            )
        try:
            await self._engine.call(lambda client: client.inspect_image(self._image))
        except EngineNotFound as error:
            raise _image_missing(self._image) from error

    async def start(self, spec: SandboxSpec, socket_path: str) -> None:
        """Make the session's container and serve its channel; see SandboxRuntime.start."""
        async with self._locks[spec.session_id]:
            if await self._adopt(spec.session_id, socket_path):
                return
            facts = await self._engine_facts()
            _require_supported(spec, facts)
            layout = await self._prepare(spec, facts)
            arguments = session_container(spec, layout, user_namespaces=facts.user_namespaces)
            try:
                container_id = await self._create(spec.image, arguments)
                await self._engine.call(partial(_start, container_id))
                await self._serve(spec.session_id, container_id, socket_path)
            except BaseException:
                await asyncio.shield(self._end(spec.session_id))
                raise

    async def stop(self, session_id: str) -> None:
        """End the session's container and its channel; gone is success."""
        async with self._locks[session_id]:
            await self._end(session_id)
        # A lock that somebody waits for stays: two locks of one session would not exclude.
        if not self._locks[session_id].locked():
            self._locks.pop(session_id, None)

    async def running(self) -> list[RunningSandbox]:
        """List the living containers of this installation; removes its dead ones."""
        alive: list[RunningSandbox] = []
        for each in await self._containers(SESSION_LABEL) + await self._containers(
            PREPARATION_LABEL
        ):
            session_id = each["Labels"].get(SESSION_LABEL, "")
            if session_id and each["State"] in ("running", "paused", "restarting"):
                alive.append(RunningSandbox(session_id, self._instance_id))
            elif not self._locks[each["Labels"].get(PREPARATION_LABEL, session_id)].locked():
                await self._remove(each["Id"])
        return alive

    async def adopt(self, session_id: str, socket_path: str) -> bool:
        """Serve the channel of a container that an earlier process started."""
        async with self._locks[session_id]:
            try:
                return await self._adopt(session_id, socket_path)
            except SandboxStartFailed:
                return False

    async def exits(self) -> AsyncIterator[SandboxExit]:
        """Yield sandboxes that end unasked, until `close`."""
        async for ended in self._watch.exits():
            async with self._locks[ended.session_id]:
                if self._watch.get(ended.session_id) is None:
                    await self._end(ended.session_id)
            yield ended

    async def close(self) -> None:
        """Release threads, connections and channels; containers go on running."""
        await self._watch.close()
        relays, self._relays = self._relays, {}
        for relay in relays.values():
            await relay.close()
        await self._engine.close()

    async def _adopt(self, session_id: str, socket_path: str) -> bool:
        tracked = self._watch.get(session_id)
        relay = self._relays.get(session_id)
        if tracked and relay and relay.socket_path == socket_path and not tracked.ended:
            state = await self._state(tracked.container_id)
            if state.get("Running"):
                return True
        for each in await self._containers(f"{SESSION_LABEL}={session_id}"):
            if each["State"] == "running":
                await self._serve(session_id, each["Id"], socket_path)
                return True
        # What is left under this name is dead, and would refuse the next of its name.
        await self._end(session_id)
        return False

    async def _prepare(self, spec: SandboxSpec, facts: _EngineFacts) -> Layout:
        """Return the project's layout after making what is missing, by whoever can."""
        try:
            layout = await survey_as_owner(spec)
            if not layout.missing:
                return layout
            if can_act_as(spec.owner_uid):
                return await prepare_as_owner(spec)
        except ProjectNotPreparable:
            # This process may see the project read-only, or not at all; a container can act.
            pass
        await self._prepare_inside(spec, facts)
        return project_layout.settle(await survey_as_owner(spec))

    async def _prepare_inside(self, spec: SandboxSpec, facts: _EngineFacts) -> None:
        program = inspect.getsource(project_layout)
        arguments = preparation_container(spec, program, user_namespaces=facts.user_namespaces)
        container_id = await self._create(spec.image, arguments)
        try:
            await self._engine.call(partial(_start, container_id))
            answer = await self._engine.call(lambda client: client.wait(container_id))
        finally:
            await asyncio.shield(self._remove(container_id))
        if answer["StatusCode"] == _UNSAFE:
            raise UnsafeProjectLayout(
                f"{spec.project_path}: .git or .jido_code holds a symbolic link or something "
                "else that cannot be protected. Replace it by a plain file or directory."
            )
        if answer["StatusCode"] not in (_PREPARED, _READ_ONLY):
            raise ProjectNotPreparable(
                f"{spec.project_path}: .jido_code could not be made. Check the directory's owner."
            )

    async def _create(self, image: str, arguments: dict[str, Any]) -> str:
        created = asyncio.ensure_future(
            self._engine.call(lambda client: client.create_container(**arguments))
        )
        try:
            return str((await asyncio.shield(created))["Id"])
        except asyncio.CancelledError:
            await asyncio.wait({created})
            if created.exception() is None:
                await self._remove(str(created.result()["Id"]))
            raise
        except EngineNotFound as error:
            raise _image_missing(image) from error
        except EngineConflict as error:
            raise SandboxStartFailed(
                f"A container named {arguments.get('name')} exists that is not ours. "
                "Remove or rename it."
            ) from error

    async def _serve(self, session_id: str, container_id: str, socket_path: str) -> None:
        old = self._relays.pop(session_id, None)
        if old is not None:
            await old.close()
        relay = Relay(socket_path, partial(self._connect, container_id))
        self._watch.track(Tracked(session_id, container_id))
        try:
            async with asyncio.timeout(CHANNEL_TIMEOUT_S):
                await relay.start()
        except (TimeoutError, SandboxStartFailed, StreamBroken, OSError) as error:
            self._watch.forget(session_id)
            raise await self._why_silent(container_id, error) from error
        self._relays[session_id] = relay

    async def _connect(self, container_id: str) -> ExecStream:
        """Open one connection to the tool server through a command in the container."""
        try:
            exec_id = await self._engine.call(partial(_create_exec, container_id))
            return await open_exec(self._engine.address, self._engine.version, exec_id)
        except (EngineNotFound, EngineConflict, StreamBroken) as error:
            raise SandboxStartFailed(f"The sandbox cannot be reached: {error}.") from error

    async def _why_silent(self, container_id: str, error: BaseException) -> SandboxStartFailed:
        state = await self._state(container_id)
        if state and not state.get("Running"):
            return SandboxStartFailed(
                f"The sandbox ended with code {state.get('ExitCode')} before it was ready. "
                "Rebuild its image with `make image`, then try again."
            )
        reason = str(error) or f"no answer within {CHANNEL_TIMEOUT_S:.0f} s"
        return SandboxStartFailed(f"The sandbox's tool server does not answer: {reason}")

    async def _end(self, session_id: str) -> None:
        self._watch.forget(session_id)
        relay = self._relays.pop(session_id, None)
        if relay is not None:
            await relay.close()
        for each in await self._containers(f"{SESSION_LABEL}={session_id}"):
            await self._remove(each["Id"])

    async def _remove(self, container_id: str) -> None:
        """End and remove a container of ours; returns when it is gone."""
        deadline = asyncio.get_running_loop().time() + REMOVAL_TIMEOUT_S
        while True:
            try:
                await self._engine.call(partial(_remove, container_id))
            except EngineNotFound:
                return
            except EngineConflict as error:
                if asyncio.get_running_loop().time() > deadline:
                    raise SandboxStopFailed(f"The engine does not end a sandbox: {error}") from error
                await asyncio.sleep(0.02)
            else:
                return

    async def _containers(self, label: str) -> list[dict[str, Any]]:
        labels = [label, f"{INSTANCE_LABEL}={self._instance_id}"]
        found = await self._engine.call(
            lambda client: client.containers(all=True, filters={"label": labels})
        )
        return list(found)

    async def _state(self, container_id: str) -> dict[str, Any]:
        with suppress(EngineNotFound):
            seen = await self._engine.call(lambda client: client.inspect_container(container_id))
            return dict(seen["State"])
        return {}

    async def _engine_facts(self) -> _EngineFacts:
        if self._facts is None:
            info = await self._engine.call(lambda client: client.info())
            options = info.get("SecurityOptions") or []
            self._facts = _EngineFacts(
                frozenset(info.get("Runtimes") or {}),
                any(option.startswith("name=userns") for option in options),
                any(option.startswith("name=rootless") for option in options),
            )
        return self._facts


def _require_supported(spec: SandboxSpec, facts: _EngineFacts) -> None:
    require_sane(spec.limits)
    if spec.limits.network == "allowlist":
        raise NetworkModeUnsupported(
            "The Docker runtime knows the networks none and open. Set JIDO_SANDBOX_NETWORK=none."
        )
    if spec.oci_runtime is not None and spec.oci_runtime not in facts.oci_runtimes:
        known = ", ".join(sorted(facts.oci_runtimes))
        raise OciRuntimeMissing(
            f"The engine has no OCI runtime {spec.oci_runtime!r} (it has: {known}). "
            "Install and register it, or unset JIDO_OCI_RUNTIME."
        )


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
