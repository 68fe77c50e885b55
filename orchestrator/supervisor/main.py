"""The supervisor process: everything it does side by side, until it is asked to end.

Owns start and end. Sandboxes run on after it: a successor adopts them. A failure
that nobody handles ends the process, whose parent starts it again.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine, Iterable
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Any, Final

import structlog

from orchestrator.logs import configure_logging
from orchestrator.settings import Settings
from orchestrator.store.facade import Store
from orchestrator.supervisor.current_runtime import CurrentRuntime
from orchestrator.supervisor.heartbeat import Heartbeat
from orchestrator.supervisor.inspection import Inspector, Places
from orchestrator.supervisor.instance import make_private, own_instance
from orchestrator.supervisor.lifecycle import Lifecycle
from orchestrator.supervisor.limit_watch import LimitMonitor
from orchestrator.supervisor.protection_watch import ProtectionMonitor
from orchestrator.supervisor.reconciler import Reconciler
from orchestrator.wiring import find_runtime, open_store

RUNTIME_WAIT_S: Final = 8.0
"""Seconds the first request waits for the supervisor's first look for a runtime."""

_log = structlog.get_logger(__name__)


async def run_supervisor(settings: Settings, stop: asyncio.Event | None = None) -> None:
    """Supervise the sandboxes of one installation until SIGTERM, SIGINT or `stop`.

    Raises SupervisorRunning when another one does already, InvalidSettings when its
    directories cannot be used.
    """
    secrets = (settings.token,) if settings.token else ()
    configure_logging(settings.log_level, secrets=secrets)
    ending = stop or asyncio.Event()
    _end_on_signals(ending)
    async with AsyncExitStack() as stack:
        instance_id = await asyncio.to_thread(stack.enter_context, own_instance(settings.home))
        make_private(settings.run_path)
        make_private(settings.channel_directory)
        store = await stack.enter_async_context(open_store(settings))
        runtime = CurrentRuntime(partial(find_runtime, settings, instance_id))
        stack.push_async_callback(runtime.close)
        inspector = Inspector(places_of(settings))
        stack.callback(inspector.close)
        _log.info("supervisor.started", instance_id=instance_id)
        await _until(ending, _work(settings, instance_id, store, runtime, inspector))
    _log.info("supervisor.ended")


def places_of(settings: Settings) -> Places:
    """Return where projects may lie. Blocks for a moment: links are resolved."""
    private = (settings.home, settings.run_path)
    return Places(
        roots=tuple(settings.roots),
        home=settings.user_home,
        private=tuple(str(each.resolve()) for each in private),
    )


def _work(
    settings: Settings,
    instance_id: str,
    store: Store,
    runtime: CurrentRuntime,
    inspector: Inspector,
) -> list[Coroutine[Any, Any, None]]:
    """Return everything the supervisor does side by side."""
    lifecycle = Lifecycle(store, runtime, inspector, instance_id, settings.channel_path)
    reconciler = Reconciler(store, runtime, lifecycle)
    heartbeat = Heartbeat(store.presence, runtime, settings.sandbox_image, instance_id)

    limits = LimitMonitor(store, lifecycle, settings.channel_path)
    protection = ProtectionMonitor(store, lifecycle)

    async def inspect_path(payload: dict[str, Any]) -> dict[str, Any]:
        found = await inspector.inspect(payload.get("path"))
        with suppress(TimeoutError):
            async with asyncio.timeout(RUNTIME_WAIT_S):
                await runtime.tried.wait()
        # Said before a slot is taken: a session that cannot start helps nobody.
        if runtime.error is not None:
            raise runtime.error
        return found

    return [
        runtime.keep(),
        _after(runtime.tried, reconciler.run()),
        _after(runtime.tried, reconciler.watch_runtime()),
        reconciler.follow_exits(),
        limits.run(),
        protection.run(),
        store.requests.serve({"inspect_path": inspect_path}),
        heartbeat.run(),
    ]


async def _after(event: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Run `work` once `event` is set; before, sessions would fail for want of a runtime."""
    try:
        await event.wait()
    except asyncio.CancelledError:
        work.close()
        raise
    await work


async def _until(ending: asyncio.Event, work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run all of `work` until `ending` is set; the first failure ends all and is raised."""
    tasks = [asyncio.create_task(each) for each in work]
    waiting = asyncio.create_task(ending.wait())
    try:
        done, _ = await asyncio.wait({waiting, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (waiting, *tasks):
            task.cancel()
        await asyncio.gather(waiting, *tasks, return_exceptions=True)
    for task in done - {waiting}:
        task.result()
        raise RuntimeError(f"{task.get_coro()} ended by itself")


def _end_on_signals(ending: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        # Only the main thread may handle signals; elsewhere the caller sets the event.
        with suppress(ValueError, RuntimeError):
            loop.add_signal_handler(number, ending.set)
