"""Session records (being built)."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.domain.events import NewEvent
from orchestrator.domain.session import Session
from orchestrator.store.intents import Desired, SandboxIntent


class SessionStore:
    """Records of live sessions, the slots and the path index."""

    async def claim(
        self, session: Session, intent: SandboxIntent, maximum: int, events: list[NewEvent]
    ) -> Session:
        """Raises SessionLimitReached(current=, max=, sessions=), ProjectAlreadyOpen(session_id=)."""
        raise NotImplementedError

    async def get(self, session_id: str) -> Session:
        """Raises SessionNotFound."""
        raise NotImplementedError

    async def find(self, session_id: str) -> Session | None:
        """Return the session or None."""
        raise NotImplementedError

    async def list(self) -> list[Session]:
        """By creation."""
        raise NotImplementedError

    async def update(
        self,
        session_id: str,
        change: Callable[[Session], Session],
        events: Callable[[Session, Session], list[NewEvent]],
    ) -> Session:
        """Compare and set, retried."""
        raise NotImplementedError

    async def remove(self, session_id: str, events: list[NewEvent]) -> bool:
        """Gone is success (False)."""
        raise NotImplementedError

    async def intents(self) -> list[SandboxIntent]:
        """All intents."""
        raise NotImplementedError

    async def set_desired(self, session_id: str, desired: Desired, bump: bool = False) -> None:
        """Raises SessionNotFound."""
        raise NotImplementedError
