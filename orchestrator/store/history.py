"""History (being built)."""

from __future__ import annotations

from typing import Any

from orchestrator.domain.events import NewEvent
from orchestrator.domain.history import HistoryEntry
from orchestrator.domain.message import Message, Todo
from orchestrator.wire.bodies import Page


class HistoryStore:
    """The conversation, prompts and task list of each session."""

    async def append(
        self, session_id: str, entries: list[HistoryEntry], events: list[NewEvent]
    ) -> None:
        """Entries and events together or not at all."""
        raise NotImplementedError

    async def messages(self, session_id: str, before: str | None, limit: int) -> Page[Message]:
        """Return the newest `limit` before the cursor, oldest first; `next` leads to older ones."""
        raise NotImplementedError

    async def entries(self, session_id: str) -> list[HistoryEntry]:
        """Return everything, oldest first."""
        raise NotImplementedError

    async def model_messages(self, session_id: str) -> list[dict[str, Any]]:
        """Return what the model is sent, oldest first."""
        raise NotImplementedError

    async def replace(
        self,
        session_id: str,
        entries: list[HistoryEntry],
        prompts: list[str] | None = None,
        todos: list[Todo] | None = None,
    ) -> None:
        """Put a loaded conversation in place of the present one."""
        raise NotImplementedError

    async def count(self, session_id: str) -> int:
        """Return how many entries there are."""
        raise NotImplementedError

    async def prompts(self, session_id: str) -> list[str]:
        """Return prompts, oldest first."""
        raise NotImplementedError

    async def set_todos(self, session_id: str, todos: list[Todo], events: list[NewEvent]) -> None:
        """Task list and events together."""
        raise NotImplementedError

    async def todos(self, session_id: str) -> list[Todo]:
        """Return the task list."""
        raise NotImplementedError
