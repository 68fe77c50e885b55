"""Sandboxes as containers of a Docker engine on this machine.

Owns the life of a session's container: its project prepared, the container made
and started, its channel served, its end noticed, adopted after a restart. Flags
are `docker_container`'s, the engine's calls `docker_containers`'.
"""

from __future__ import annotations

import asyncio
import inspect
from collections import defaultdict
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from typing import Final

from orchestrator.domain.errors import JidoError
from orchestrator.sandboxes import project_layout
from orchestrator.sandboxes.docker_channels import DockerChannels, remove_socket
from orchestrator.sandboxes.docker_container import (
    CHANNEL_LABEL,
    PREPARATION_LABEL,
    SESSION_LABEL,
    preparation_container,
    session_container,
)
from orchestrator.sandboxes.docker_containers import Containers, EngineFacts
from orchestrator.sandboxes.docker_engine import Engine
from orchestrator.sandboxes.docker_watch import EngineWatch, Tracked
from orchestrator.sandboxes.limits_check import require_sane
from orchestrator.sandboxes.mounts import can_act_as, prepare_as_owner, survey_as_owner
from orchestrator.sandboxes.project_layout import Layout
from orchestrator.sandboxes.runtime import RunningSandbox, SandboxExit, SandboxSpec
from orchestrator.sandboxes.runtime_errors import (
    NetworkModeUnsupported,
    OciRuntimeMissing,
    ProjectNotPreparable,
    RuntimeUnavailable,
    SandboxStartFailed,
    UnsafeProjectLayout,
)

_PREPARED: Final = 0
_READ_ONLY: Final = 4
_UNSAFE: Final = 5


class DockerRuntime:
    """The Docker body of SandboxRuntime."""

    def __init__(self, instance_id: str, image: str, address: str | None = None) -> None:
        """Prepare for the installation `instance_id`; `image` is what `check` looks for.

        `address` is the engine's; None means DOCKER_HOST, else the usual socket.
        """
        self._instance_id = instance_id
        self._image = image
        self._engine = Engine(address)
        self._containers = Containers(self._engine, instance_id)
        self._watch = EngineWatch(self._engine, instance_id)
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._channels = DockerChannels(self._containers)

    @property
    def name(self) -> str:
        """Name in settings and in a session's record."""
        return "docker"

    async def check(self) -> None:
        """Return when an engine answers and has the sandbox image of this version.

        Raises RuntimeUnavailable, ImageMissing, ImageOutdated.
        """
        facts = await self._containers.facts()
        if facts.rootless:
            raise RuntimeUnavailable(
                "The engine runs rootless: users inside are not the users outside, so files "
                "would change owner. Use a rootful engine or JIDO_RUNTIME=bubblewrap."
            )
        if not facts.filters_calls:
            raise RuntimeUnavailable(
                "The engine filters no system calls (its kernel or build has no seccomp), so its "
                "containers would be open to the kernel. Use an engine that does, or "
                "JIDO_RUNTIME=bubblewrap."
            )
        await self._containers.require_image(self._image)

    async def require_oci_runtime(self, name: str | None) -> None:
        """Return when the engine has the OCI runtime; None always passes.

        Raises OciRuntimeMissing, RuntimeUnavailable.
        """
        _require_oci_runtime(name, await self._containers.facts())

    async def start(self, spec: SandboxSpec, socket_path: str) -> None:
        """Make the session's container and serve its channel; see SandboxRuntime.start."""
        async with self._locks[spec.session_id]:
            if await self._adopt(spec.session_id, socket_path):
                return
            facts = await self._containers.facts()
            _require_supported(spec, facts)
            layout = await self._prepare(spec, facts)
            handover = self._channels.offer(spec, layout)
            arguments = session_container(spec, layout, facts.traits, socket_path, handover)
            try:
                container_id = await self._containers.create(arguments)
                await self._containers.start(container_id)
                opening = self._channels.open(spec, container_id, socket_path, handover)
                await self._served(spec.session_id, container_id, opening)
            except BaseException:  # raised again once cleaned up
                await asyncio.shield(self._end(spec.session_id))
                raise

    async def stop(self, session_id: str) -> None:
        """End the session's container and its channel; gone is success."""
        async with self._locks[session_id]:
            await self._end(session_id)

    async def running(self) -> list[RunningSandbox]:
        """List the living containers of this installation; removes its dead ones."""
        alive: list[RunningSandbox] = []
        for each in await self._containers.labelled(SESSION_LABEL):
            session_id = each["Labels"][SESSION_LABEL]
            if each["State"] in ("running", "paused", "restarting"):
                alive.append(RunningSandbox(session_id, self._instance_id))
            elif not self._locks[session_id].locked():
                await self._containers.remove(each["Id"])
        for each in await self._containers.labelled(PREPARATION_LABEL):
            if not self._locks[each["Labels"][PREPARATION_LABEL]].locked():
                await self._containers.remove(each["Id"])
        return alive

    async def adopt(self, session_id: str, socket_path: str) -> bool:
        """Serve the channel of a container that an earlier process started."""
        async with self._locks[session_id]:
            try:
                return await self._adopt(session_id, socket_path)
            except SandboxStartFailed:
                return False

    async def exits(self) -> AsyncIterator[SandboxExit]:
        """Yield sandboxes that end unasked, until `close`; what is left of them is removed."""
        async for ended in self._watch.exits():
            async with self._locks[ended.session_id]:
                if self._watch.get(ended.session_id) is None:
                    # What cannot be removed now is when the session starts or stops next.
                    with suppress(JidoError):
                        await self._end(ended.session_id)
            yield ended

    async def close(self) -> None:
        """Release threads, connections and channels; containers go on running."""
        await self._watch.close()
        await self._channels.close()
        await self._engine.close()

    async def _adopt(self, session_id: str, socket_path: str) -> bool:
        """Serve a living container, remove a dead one; say whether one lives."""
        tracked = self._watch.get(session_id)
        found = await self._containers.of_session(session_id)
        for each in found:
            if each["State"] != "running":
                continue
            known = tracked is not None and tracked.container_id == each["Id"]
            if not (known and self._channels.serves(session_id, socket_path)):
                made_at = each["Labels"].get(CHANNEL_LABEL, "")
                adopting = self._channels.adopt(session_id, each["Id"], socket_path, made_at)
                await self._served(session_id, each["Id"], adopting)
            return True
        if found or tracked is not None or self._channels.knows(session_id):
            await self._end(session_id)
        return False

    async def _prepare(self, spec: SandboxSpec, facts: EngineFacts) -> Layout:
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

    async def _prepare_inside(self, spec: SandboxSpec, facts: EngineFacts) -> None:
        program = inspect.getsource(project_layout)
        arguments = preparation_container(spec, program, facts.traits)
        container_id = await self._containers.create(arguments)
        try:
            await self._containers.start(container_id)
            code = await self._containers.wait(container_id)
        finally:
            await asyncio.shield(self._containers.remove(container_id))
        if code == _UNSAFE:
            raise UnsafeProjectLayout(
                f"{spec.project_path}: .git or .jido_code holds a symbolic link or something "
                "else that cannot be protected. Replace it by a plain file or directory."
            )
        if code not in (_PREPARED, _READ_ONLY):
            raise ProjectNotPreparable(
                f"{spec.project_path}: .jido_code could not be made. Check the directory's owner."
            )

    async def _served(
        self, session_id: str, container_id: str, serving: Coroutine[None, None, None]
    ) -> None:
        """Await that a channel is served, and expect its container to live from then on."""
        try:
            await serving
        except (TimeoutError, SandboxStartFailed) as error:
            raise await self._why_silent(container_id, error) from error
        self._watch.track(Tracked(session_id, container_id))

    async def _why_silent(self, container_id: str, error: BaseException) -> SandboxStartFailed:
        state = await self._containers.state(container_id)
        if state and not state.get("Running"):
            return SandboxStartFailed(
                f"The sandbox ended with code {state.get('ExitCode')} before it was ready. "
                "Rebuild its image with `make image`, then try again."
            )
        reason = str(error) or "no answer in time"
        return SandboxStartFailed(f"The sandbox's tool server does not answer: {reason}")

    async def _end(self, session_id: str) -> None:
        self._watch.forget(session_id)
        await self._channels.end(session_id)
        for each in await self._containers.of_session(session_id):
            await self._containers.remove(each["Id"])
            # This process may have ended it before it came to serve it.
            remove_socket(each["Labels"].get(CHANNEL_LABEL, ""))


def _require_supported(spec: SandboxSpec, facts: EngineFacts) -> None:
    require_sane(spec.limits)
    if spec.limits.network == "allowlist":
        raise NetworkModeUnsupported(
            "The Docker runtime knows the networks none and open. Set JIDO_SANDBOX_NETWORK=none."
        )
    _require_oci_runtime(spec.oci_runtime, facts)


def _require_oci_runtime(name: str | None, facts: EngineFacts) -> None:
    if name is not None and name not in facts.oci_runtimes:
        known = ", ".join(sorted(facts.oci_runtimes))
        raise OciRuntimeMissing(
            f"The engine has no OCI runtime {name!r} (it has: {known}). "
            "Install and register it, or unset JIDO_OCI_RUNTIME."
        )
