"""Choosing the runtime of an installation, never a weaker one than was possible.

Owns what `auto` means: an engine that answers, else bubblewrap, else a refusal that
names both causes. An engine without the sandbox image is refused with how to build
it; falling to bubblewrap there would be less isolation that nobody asked for.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from orchestrator.sandboxes.bubblewrap import BubblewrapRuntime
from orchestrator.sandboxes.docker import DockerRuntime
from orchestrator.sandboxes.runtime import SandboxRuntime
from orchestrator.sandboxes.runtime_errors import OciRuntimeMissing, RuntimeUnavailable

Choice = Literal["auto", "docker", "bubblewrap"]


async def select_runtime(
    choice: Choice,
    *,
    instance_id: str,
    image: str,
    state_directory: Path,
    oci_runtime: str | None = None,
    engine_address: str | None = None,
) -> SandboxRuntime:
    """Return a runtime whose `check` has passed; the caller closes it.

    `state_directory` is where bubblewrap keeps its records. `oci_runtime` None means the
    engine's default. `engine_address` None means DOCKER_HOST, else the usual socket.
    Raises RuntimeUnavailable, OciRuntimeMissing, ImageMissing, ImageOutdated.
    """
    if choice == "bubblewrap":
        return await _bubblewrap(instance_id, state_directory, oci_runtime)
    try:
        return await _docker(instance_id, image, engine_address, oci_runtime)
    except OciRuntimeMissing:
        raise
    except RuntimeUnavailable as no_engine:
        if choice == "docker":
            raise
        try:
            return await _bubblewrap(instance_id, state_directory, oci_runtime)
        except OciRuntimeMissing:
            raise
        except RuntimeUnavailable as no_bubblewrap:
            raise RuntimeUnavailable(
                f"Sandboxes cannot be made on this machine. Docker: {no_engine.detail} "
                f"bubblewrap: {no_bubblewrap.detail}"
            ) from no_bubblewrap


async def _docker(
    instance_id: str, image: str, address: str | None, oci_runtime: str | None
) -> SandboxRuntime:
    runtime = DockerRuntime(instance_id, image, address)
    try:
        await runtime.check()
        await runtime.require_oci_runtime(oci_runtime)
    except BaseException:  # raised again once cleaned up
        await runtime.close()
        raise
    return runtime


async def _bubblewrap(
    instance_id: str, state_directory: Path, oci_runtime: str | None
) -> SandboxRuntime:
    if oci_runtime is not None:
        raise OciRuntimeMissing(
            f"bubblewrap has no OCI runtime {oci_runtime!r}. Start a container engine that has "
            "it, or unset JIDO_OCI_RUNTIME."
        )
    runtime = BubblewrapRuntime(instance_id, state_directory)
    try:
        await runtime.check()
    except BaseException:  # raised again once cleaned up
        await runtime.close()
        raise
    return runtime
