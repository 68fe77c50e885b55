"""The job that RQ calls: one turn, in a process forked for it.

Owns what a process needs to run turns, built once before forking, and that a
terminated job interrupts its turn instead of dropping it. Refuses arguments
other than identifiers.
"""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import dataclass

import structlog

from orchestrator.agent.models import Models
from orchestrator.agent.request import StopSignal
from orchestrator.domain.errors import InvalidArgument
from orchestrator.domain.ids import is_id
from orchestrator.settings import Settings, load_settings
from orchestrator.wiring import open_store, turn_execution

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Shared:
    """What every job of this machine shares with the process it was forked from."""

    settings: Settings
    models: Models


@dataclass
class _Process:
    """This process's own state: RQ calls a function by name, so it cannot be passed in."""

    shared: Shared | None = None
    terminated: bool = False


_process = _Process()


def prepare(settings: Settings) -> Shared:
    """Build what jobs share; call it before forking."""
    _process.shared = Shared(settings, Models(settings, os.environ))
    return _process.shared


def remember_termination() -> None:
    """Note a signal that comes before the turn can be told."""
    _process.terminated = True


def run_turn(session_id: str, turn_id: str) -> None:
    """Run one turn; called by RQ with identifiers only."""
    if not (is_id(session_id) and is_id(turn_id)):
        raise InvalidArgument("A job carries the identifiers of a session and a turn.")
    shared = _process.shared or prepare(load_settings())
    asyncio.run(_run(shared, session_id, turn_id))


async def _run(shared: Shared, session_id: str, turn_id: str) -> None:
    stop = StopSignal()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.ask, "interrupted")
    if _process.terminated:
        stop.ask("interrupted")
    async with open_store(shared.settings) as store:
        execution = turn_execution(shared.settings, store, shared.models)
        await execution.execute(session_id, turn_id, stop)
