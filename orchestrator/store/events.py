"""Events (being built)."""

from __future__ import annotations

from orchestrator.domain.events import Event, NewEvent


class EventStore:
    """The numbered story of each session, and one stream over all of them."""

    async def append(self, session_id: str, events: list[NewEvent]) -> int:
        """Return the last number."""
        raise NotImplementedError

    async def read(self, session_id: str, after: int, limit: int) -> list[Event]:
        """Raises EventsTrimmed, SessionNotFound."""
        raise NotImplementedError

    async def read_all(self, after: str | None, limit: int) -> list[tuple[str, Event]]:
        """None starts at the oldest kept; raises EventsTrimmed."""
        raise NotImplementedError

    async def newest(self) -> str:
        """Cursor of the newest event over all sessions: following starts here."""
        raise NotImplementedError

    async def last_seq(self, session_id: str) -> int:
        """Raises SessionNotFound."""
        raise NotImplementedError
