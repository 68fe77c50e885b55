"""Where a running turn's story goes: the session's records.

Owns the data of `todo.updated`. Refuses to hold anything back: every call is
one commit.
"""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.domain.errors import SessionChanged
from orchestrator.domain.events import NewEvent
from orchestrator.domain.history import HistoryEntry
from orchestrator.domain.message import Todo
from orchestrator.store.facade import Store


class StoreSink:
    """The agent's sink over the store.

    Raises StoreUnavailable, SessionNotFound, or SessionChanged once the turn is another's.
    """

    def __init__(
        self, store: Store, session_id: str, turn_id: str, is_lost: Callable[[], bool]
    ) -> None:
        """Write for one turn of one session, until `is_lost` says that somebody else has it."""
        self._is_lost = is_lost
        self._store = store
        self._session_id = session_id
        self._turn_id = turn_id

    async def emit(self, events: list[NewEvent]) -> None:
        """Append events."""
        self._check()
        if events:
            await self._store.events.append(self._session_id, events)

    async def record(self, entries: list[HistoryEntry], events: list[NewEvent]) -> None:
        """Append to the history and tell of it, together."""
        self._check()
        await self._store.history.append(self._session_id, entries, events)

    async def todos(self, todos: list[Todo]) -> None:
        """Replace the task list and tell of it, together."""
        self._check()
        data = {
            "turn_id": self._turn_id,
            "todos": [todo.model_dump(mode="json") for todo in todos],
        }
        event = NewEvent(type="todo.updated", data=data)
        await self._store.history.set_todos(self._session_id, todos, [event])

    def _check(self) -> None:
        if self._is_lost():
            raise SessionChanged("The turn was taken from this worker, which was silent too long.")
