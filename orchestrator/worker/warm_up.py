"""Does everything once that a first turn would do for the first time.

Every job is a fresh fork: what the parent has not done yet, each of them would
do again. Owns a tiny turn without a sandbox, and the clients of every provider
that has a key. Refuses the network.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import structlog
from pydantic_ai.workspaces import CommandResult, FileEntry, WorkspaceCommand, WorkspaceRef

from orchestrator.agent.models import Models
from orchestrator.agent.request import TurnRequest
from orchestrator.agent.turn import run_turn
from orchestrator.domain.errors import JidoError
from orchestrator.domain.events import NewEvent
from orchestrator.domain.history import HistoryEntry
from orchestrator.domain.ids import new_id
from orchestrator.domain.message import Todo
from orchestrator.domain.models import SessionConfig
from orchestrator.domain.session import Session
from orchestrator.domain.turn import Turn
from orchestrator.wire.bodies import LuaOutcome

PROMPT: Final = "run true\nread nothing\ngrep nothing\nlua return 1\ntodo one\nsay ready"

_log = structlog.get_logger(__name__)


class EmptyWorkspace:
    """A project without files in which every command succeeds without a word."""

    ref: WorkspaceRef | None = None

    async def working_dir(self) -> str:
        """Return a path that leads nowhere."""
        return "/nowhere"

    async def run(self, command: WorkspaceCommand, **_: object) -> CommandResult:
        """Succeed."""
        return CommandResult(exit_code=0, stdout="", stderr="")

    async def read_bytes(self, path: str) -> bytes:
        """Find nothing."""
        raise FileNotFoundError(path)

    async def write_bytes(self, path: str, data: bytes) -> None:
        """Forget it."""

    async def stat(self, path: str) -> FileEntry:
        """Find nothing but the project."""
        if path != "/nowhere":
            raise FileNotFoundError(path)
        return FileEntry(name="nowhere", path=path, is_dir=True, size=None)

    async def list_dir(self, path: str) -> Sequence[FileEntry]:
        """Find nothing."""
        return []

    async def make_dir(self, path: str) -> None:
        """Forget it."""

    async def remove(self, path: str) -> None:
        """Forget it."""

    async def exists(self, path: str) -> bool:
        """Find nothing."""
        return False

    async def realpath(self, path: str) -> str:
        """Return the path itself."""
        return path


class _NoSink:
    async def emit(self, events: list[NewEvent]) -> None: ...

    async def record(self, entries: list[HistoryEntry], events: list[NewEvent]) -> None: ...

    async def todos(self, todos: list[Todo]) -> None: ...


def warm_up(models: Models) -> None:
    """Run a small turn and build every client once; failures are logged, never raised."""
    try:
        asyncio.run(_warm_up(models))
    except JidoError as error:
        _log.warning("worker.warm_up_failed", code=error.code, reason=error.detail)


async def _warm_up(models: Models) -> None:
    moment = datetime.now(UTC)
    session = Session(
        id=new_id(),
        name="warm-up",
        project_path=tempfile.gettempdir(),
        config=SessionConfig(),
        created_at=moment,
        updated_at=moment,
    )
    turn = Turn(id=new_id(), session_id=session.id, prompt=PROMPT, created_at=moment)
    request = TurnRequest(
        session=session,
        turn=turn,
        model_history=[],
        workspace=EmptyWorkspace(),
        lua=_lua,
    )
    outcome = await run_turn(request, _NoSink(), models)
    if outcome.error is not None:
        _log.warning("worker.warm_up_failed", code=outcome.error.code, reason=outcome.error.message)
    await models.preload()


async def _lua(script: str, timeout_s: float | None) -> LuaOutcome:
    return LuaOutcome(ok=True, elapsed_ms=0)
