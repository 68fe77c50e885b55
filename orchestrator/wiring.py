"""Settings to objects: the one place that names implementations.

Owns which body stands behind which interface, in small functions of which each
process calls those it needs. Imports inside functions on purpose: the api must
not load the engine's or the models' libraries, nor the supervisor the agent's.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

# Loaded for its codes: errors that the supervisor sends are looked up in the error tree.
from orchestrator.sandboxes import runtime_errors as runtime_errors
from orchestrator.sandboxes.runtime import SandboxRuntime
from orchestrator.settings import Settings
from orchestrator.store.facade import Store


def open_store(settings: Settings) -> AbstractAsyncContextManager[Store]:
    """Return the store of this installation, open for the length of a block."""
    return Store.open(settings.effective_redis_url)


async def find_runtime(settings: Settings, instance_id: str) -> SandboxRuntime:
    """Return the runtime that the settings choose.

    Raises RuntimeUnavailable or ImageMissing, saying what to do, when there is none.
    """
    from orchestrator.sandboxes.docker import DockerRuntime

    runtime = DockerRuntime(instance_id, settings.sandbox_image)
    await runtime.check()
    return runtime
