"""Sandboxes as bubblewrap processes, for machines without a container engine.

Owns the life of a session's sandbox: its project prepared, the processes started
on the channel's listening socket, their end noticed, found again after a restart.
Needs no root; as root it becomes the project's owner first. What bwrap is told is
`bubblewrap_command`'s.
"""

from __future__ import annotations

import asyncio
import os
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from orchestrator.sandboxes import bubblewrap_process as processes
from orchestrator.sandboxes.bubblewrap_check import require_usable
from orchestrator.sandboxes.bubblewrap_process import Record, Spawned
from orchestrator.sandboxes.bubblewrap_support import find_bwrap, prepare
from orchestrator.sandboxes.endpoint import greet, listen_unix
from orchestrator.sandboxes.limits_check import require_sane
from orchestrator.sandboxes.mounts import can_act_as, prepare_as_owner, survey_as_owner
from orchestrator.sandboxes.project_layout import Layout, settle
from orchestrator.sandboxes.runtime import RunningSandbox, SandboxExit, SandboxSpec
from orchestrator.sandboxes.runtime_errors import (
    NetworkModeUnsupported,
    OciRuntimeMissing,
    ProjectNotPreparable,
    SandboxStartFailed,
    SandboxStopFailed,
)

CHANNEL_TIMEOUT_S: Final = 20.0
"""Seconds from the start of the processes to the tool server's hello."""

POOL_THREADS: Final = 16
"""Blocking calls at once; ten sessions may start together while others stop."""

MAX_WAITING_EXITS: Final = 256
"""Exits that wait for their reader; there are never more sandboxes, so nothing is dropped."""

_Result = TypeVar("_Result")


class BubblewrapRuntime:
    """The bubblewrap body of SandboxRuntime."""

    def __init__(self, instance_id: str, state_directory: Path) -> None:
        """Prepare for the installation `instance_id`.

        `state_directory` keeps a record of every living sandbox, so that a later process
        finds them; it is made with mode 0700.
        """
        self._instance_id = instance_id
        self._state = state_directory
        self._pool = ThreadPoolExecutor(POOL_THREADS, thread_name_prefix="bubblewrap")
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._records: dict[str, Record] = {}
        self._spawned: dict[str, Spawned] = {}
        self._watched: dict[str, int] = {}
        self._endings: set[asyncio.Task[None]] = set()
        self._exits: asyncio.Queue[SandboxExit | None] = asyncio.Queue(MAX_WAITING_EXITS)

    @property
    def name(self) -> str:
        """Name in settings and in a session's record."""
        return "bubblewrap"

    async def check(self) -> None:
        """Return when this machine lets bubblewrap isolate; raises RuntimeUnavailable."""
        bwrap = await self._call(find_bwrap)
        await self._call(lambda: require_usable(bwrap))
        await self._call(lambda: prepare(os.geteuid()))

    async def start(self, spec: SandboxSpec, socket_path: str) -> None:
        """Start the session's sandbox and serve its channel; see SandboxRuntime.start."""
        async with self._locks[spec.session_id]:
            if await self._adopt(spec.session_id, socket_path):
                return
            _require_supported(spec)
            layout = await _prepare(spec)
            try:
                await self._spawn(spec, layout, socket_path)
                await self._await_hello(spec.session_id, socket_path)
            except BaseException:  # raised again once cleaned up
                await asyncio.shield(self._end(spec.session_id, socket_path))
                raise

    async def stop(self, session_id: str) -> None:
        """End the session's sandbox and its channel; gone is success."""
        async with self._locks[session_id]:
            await self._end(session_id, None)

    async def running(self) -> list[RunningSandbox]:
        """List the living sandboxes of this installation; forgets its dead ones."""
        alive: list[RunningSandbox] = []
        for session_id in await self._call(partial(processes.recorded, self._state)):
            record = await self._living(session_id)
            if record is not None:
                alive.append(RunningSandbox(session_id, record.instance_id))
            elif not self._locks[session_id].locked():
                await self.stop(session_id)
        return alive

    async def adopt(self, session_id: str, socket_path: str) -> bool:
        """Serve the channel of a sandbox that an earlier process started."""
        async with self._locks[session_id]:
            return await self._adopt(session_id, socket_path)

    async def exits(self) -> AsyncIterator[SandboxExit]:
        """Yield sandboxes that end unasked, until `close`."""
        while (ended := await self._exits.get()) is not None:
            yield ended

    async def close(self) -> None:
        """Release threads and descriptors; sandboxes go on running."""
        for session_id in list(self._watched):
            self._unwatch(session_id)
        for task in self._endings:
            task.cancel()
        await asyncio.gather(*self._endings, return_exceptions=True)
        for spawned in self._spawned.values():
            spawned.close()
        self._spawned.clear()
        with suppress(asyncio.QueueFull):
            self._exits.put_nowait(None)
        self._pool.shutdown(wait=False)

    async def _spawn(self, spec: SandboxSpec, layout: Layout, socket_path: str) -> None:
        support = await self._call(lambda: prepare(spec.owner_uid))
        bwrap = await self._call(find_bwrap)
        listener = listen_unix(socket_path)
        # The sandbox accepts in a blocking way of its own; the flag is shared with it.
        listener.setblocking(True)
        try:
            spawned = await self._call(
                lambda: self._spawn_recorded(
                    partial(
                        processes.spawn,
                        spec,
                        layout,
                        support,
                        bwrap,
                        listener.fileno(),
                        socket_path,
                    )
                )
            )
        finally:
            listener.close()
        self._watch(spawned.record)

    def _spawn_recorded(self, spawn: Callable[[], Spawned]) -> Spawned:
        self._state.mkdir(mode=0o700, parents=True, exist_ok=True)
        spawned = spawn()
        # Known from here on, so that a start cancelled now ends and reaps it.
        self._spawned[spawned.record.session_id] = spawned
        self._records[spawned.record.session_id] = spawned.record
        processes.write_record(self._state, spawned.record)
        return spawned

    async def _await_hello(self, session_id: str, socket_path: str) -> None:
        try:
            async with asyncio.timeout(CHANNEL_TIMEOUT_S):
                await greet(socket_path)
        except (TimeoutError, OSError, SandboxStartFailed) as error:
            spawned = self._spawned.get(session_id)
            said = spawned.complaint() if spawned else ""
            raise SandboxStartFailed(
                f"The sandbox's tool server does not answer: {said or error or 'no answer in time'}"
            ) from error

    async def _adopt(self, session_id: str, socket_path: str) -> bool:
        """Serve a living sandbox, clean up after a dead one; say whether one lives."""
        record = await self._living(session_id)
        if record is not None:
            try:
                if record.socket_path != socket_path:
                    record = await self._call(
                        partial(processes.move, self._state, record, socket_path)
                    )
                async with asyncio.timeout(CHANNEL_TIMEOUT_S):
                    await greet(socket_path)
            except (OSError, TimeoutError, SandboxStartFailed):
                record = None
        if record is None:
            await self._end(session_id, socket_path)
            return False
        if session_id not in self._watched:
            self._watch(record)
        return session_id in self._watched

    async def _living(self, session_id: str) -> Record | None:
        record = self._records.get(session_id) or await self._call(
            lambda: processes.read_record(self._state, session_id)
        )
        if record is None or record.instance_id != self._instance_id:
            return None
        same_boot = record.boot_id == await self._call(processes.boot_id)
        return record if same_boot and record.outer.alive and record.first.alive else None

    def _watch(self, record: Record) -> None:
        """Notice the end of bwrap; one that has ended already is noticed at once."""
        self._records[record.session_id] = record
        handle = record.outer.open()
        if handle is None:
            self._ended(record)
            return
        self._watched[record.session_id] = handle
        asyncio.get_running_loop().add_reader(handle, self._ended, record)

    def _unwatch(self, session_id: str) -> None:
        handle = self._watched.pop(session_id, None)
        if handle is not None:
            asyncio.get_running_loop().remove_reader(handle)
            os.close(handle)

    def _ended(self, record: Record) -> None:
        self._unwatch(record.session_id)
        task = asyncio.create_task(self._report(record))
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)

    async def _report(self, record: Record) -> None:
        async with self._locks[record.session_id]:
            if self._records.get(record.session_id) is not record:
                return
            spawned = self._spawned.get(record.session_id)
            code = await self._call(spawned.exit_code) if spawned else None
            kills = await self._call(record.group.kills)
            await self._end(record.session_id, record.socket_path)
        await self._exits.put(_exit(record.session_id, code, kills))

    async def _end(self, session_id: str, socket_path: str | None) -> None:
        """End whatever there is of a session and forget it."""
        self._unwatch(session_id)
        record = self._records.pop(session_id, None) or await self._call(
            lambda: processes.read_record(self._state, session_id)
        )
        spawned = self._spawned.pop(session_id, None)
        if record is not None and record.instance_id == self._instance_id:
            if not await self._call(lambda: processes.end(record)):
                raise SandboxStopFailed(f"Process {record.first.pid} of a sandbox does not end.")
            socket_path = socket_path or record.socket_path
            await self._call(lambda: processes.forget_record(self._state, session_id))
        if spawned is not None:
            await self._call(spawned.exit_code)
            spawned.close()
        if socket_path is not None:
            with suppress(FileNotFoundError):
                os.unlink(socket_path)

    async def _call(self, work: Callable[[], _Result]) -> _Result:
        """Run blocking work in the pool; once begun it is awaited even when cancelled."""
        future = asyncio.get_running_loop().run_in_executor(self._pool, work)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait({future})
            raise


async def _prepare(spec: SandboxSpec) -> Layout:
    if not can_act_as(spec.owner_uid):
        raise ProjectNotPreparable(
            f"{spec.project_path} belongs to user {spec.owner_uid}, as whom this process "
            "cannot run. Start as that user or as root, or use Docker."
        )
    try:
        return await prepare_as_owner(spec)
    except ProjectNotPreparable:
        return settle(await survey_as_owner(spec))


def _exit(session_id: str, code: int | None, kills: int) -> SandboxExit:
    if kills and code in (137, None):
        return SandboxExit(session_id, "oom", code, "The sandbox ran out of memory.", kills)
    if code is None:
        return SandboxExit(session_id, "gone", None, "The sandbox's processes are gone.")
    return SandboxExit(session_id, "exited", code, f"The sandbox ended with code {code}.")


def _require_supported(spec: SandboxSpec) -> None:
    require_sane(spec.limits)
    if spec.limits.network != "none":
        raise NetworkModeUnsupported(
            "bubblewrap could only share the host's own network, loopback included. "
            "Set JIDO_SANDBOX_NETWORK=none or use Docker."
        )
    if spec.oci_runtime is not None:
        raise OciRuntimeMissing("bubblewrap has no OCI runtimes. Unset JIDO_OCI_RUNTIME.")
