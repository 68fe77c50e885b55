"""The supervisor's own parts over a runtime of the test's choice, within the test's process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from orchestrator.domain.ids import new_id
from orchestrator.sandboxes.runtime import SandboxRuntime
from orchestrator.settings import Settings
from orchestrator.store.facade import Store
from orchestrator.supervisor.current_runtime import CurrentRuntime
from orchestrator.supervisor.heartbeat import Heartbeat
from orchestrator.supervisor.inspection import Inspector
from orchestrator.supervisor.lifecycle import Lifecycle
from orchestrator.supervisor.main import places_of
from orchestrator.supervisor.reconciler import Reconciler


@asynccontextmanager
async def supervised(
    settings: Settings, store: Store, runtime: SandboxRuntime
) -> AsyncIterator[None]:
    """Supervise for the length of the block; the runtime is closed at its end."""
    settings.channel_directory.mkdir(parents=True, exist_ok=True)

    async def find() -> SandboxRuntime:
        return runtime

    current = CurrentRuntime(find)
    inspector = Inspector(places_of(settings))
    lifecycle = Lifecycle(store, current, inspector, new_id(), settings.channel_path)
    reconciler = Reconciler(store, current, lifecycle)
    heartbeat = Heartbeat(store.presence, current, settings.sandbox_image, new_id())
    async with AsyncExitStack() as stack:
        stack.push_async_callback(runtime.close)
        stack.callback(inspector.close)
        tasks = [asyncio.create_task(current.keep())]
        await current.tried.wait()
        works = (
            reconciler.run(),
            reconciler.watch_runtime(),
            reconciler.follow_exits(),
            store.requests.serve({"inspect_path": lambda asked: inspector.inspect(asked["path"])}),
            heartbeat.run(),
        )
        tasks += [asyncio.create_task(work) for work in works]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            _, hanging = await asyncio.wait(tasks, timeout=10)
            assert not hanging, hanging
