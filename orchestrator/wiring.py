"""Settings to objects: the one place that names implementations.

Owns which body stands behind which interface, in small functions of which each
process calls those it needs. Imports inside functions on purpose: the api must
not load the engine's or the models' libraries, nor the supervisor the agent's.
The runtimes' errors are loaded everywhere: they cross between processes as codes.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from orchestrator.sandboxes.runtime import SandboxRuntime
from orchestrator.sandboxes.runtime_errors import RuntimeUnavailable
from orchestrator.settings import Settings
from orchestrator.store.facade import Store

if TYPE_CHECKING:
    from orchestrator.agent.models import Models
    from orchestrator.services.clean_up import CleanUp
    from orchestrator.services.saving import Saving
    from orchestrator.services.turn_execution import TurnExecution


def open_store(settings: Settings) -> AbstractAsyncContextManager[Store]:
    """Return the store of this installation, open for the length of a block."""
    return Store.open(settings.effective_redis_url)


async def find_runtime(settings: Settings, instance_id: str) -> SandboxRuntime:
    """Return the runtime that the settings choose, checked; whoever gets it closes it.

    Raises RuntimeUnavailable, OciRuntimeMissing, ImageMissing or ImageOutdated, saying what
    to do.
    """
    from orchestrator.sandboxes.select import select_runtime

    if settings.runtime == "kubernetes":
        raise RuntimeUnavailable(
            "This version has no Kubernetes runtime. Use JIDO_RUNTIME=docker or bubblewrap."
        )
    return await select_runtime(
        settings.runtime,
        instance_id=instance_id,
        image=settings.sandbox_image,
        state_directory=settings.run_path / "sandboxes",
        oci_runtime=settings.oci_runtime,
    )


def turn_execution(settings: Settings, store: Store, models: Models) -> TurnExecution:
    """Return what runs turns over `store`, which belongs to the running event loop."""
    from orchestrator.services.turn_execution import TurnExecution

    saving = session_saving(settings, store)
    return TurnExecution(
        store, models, saving, settings.channel_path, settings.approval, settings.home
    )


def session_saving(settings: Settings, store: Store) -> Saving:
    """Return what saves live sessions."""
    from orchestrator.archive.archive import Archive
    from orchestrator.services.saving import Saving

    return Saving(store, Archive(settings.home))


def clean_up(settings: Settings, store: Store, saving: Saving) -> CleanUp:
    """Return what deletes saved sessions as the settings ask."""
    from orchestrator.archive.archive import Archive
    from orchestrator.services.clean_up import CleanUp

    return CleanUp(
        store,
        Archive(settings.home),
        saving,
        max_age_days=settings.saved_max_age_days,
        max_count=settings.saved_max_count,
    )
