"""Starting a session: from a path to a claimed slot.

Owns the order of steps that a new and a resumed session share: form, the
supervisor's look at the directory, the claim. Refuses to start a sandbox itself:
the claim's intent wakes the supervisor.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestrator.domain.errors import (
    ProjectAlreadyOpen,
    SessionLimitReached,
    SupervisorUnavailable,
)
from orchestrator.domain.events import NewEvent
from orchestrator.domain.names import unique_name
from orchestrator.domain.paths import validate_form
from orchestrator.domain.session import Session
from orchestrator.services.failed_starts import give_way, never_started
from orchestrator.services.story import notice, session_event
from orchestrator.services.trust import terms
from orchestrator.settings import Settings, parse_size
from orchestrator.store.facade import Store
from orchestrator.store.history import Conversation
from orchestrator.store.intents import SandboxIntent

INSPECT_TIMEOUT_S: Final = 15.0
"""Seconds the supervisor may take to look at a directory."""

_ROOT: Final = (
    "This project belongs to root, so its sandbox runs as user 0, without any capability: what "
    "root alone may read of the system inside is readable there. Nothing but the project is "
    "writable all the same. Give the project to an ordinary user for the stronger isolation."
)


class Inspection(BaseModel):
    """What the supervisor found out about a project directory."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    real_path: str
    """Absolute, symbolic links resolved."""
    place: str = ""
    """Device and inode: one directory at two mount points has two real paths and one place."""
    owner_uid: int = Field(ge=0)
    owner_gid: int = Field(ge=0)
    language: str | None = None
    """None when no marker file was found."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """The project's own choices; empty when it has none."""
    widening: dict[str, Any] = Field(default_factory=dict)
    """Choices that count only when the user trusts them."""
    settings_digest: str | None = None
    """SHA-256 of the project's file; None when it says nothing."""


class Starter:
    """Claims slots and paths for sessions."""

    def __init__(
        self, store: Store, settings: Settings, inspect_timeout_s: float = INSPECT_TIMEOUT_S
    ) -> None:
        """Ask the supervisor through `store`, for `inspect_timeout_s` seconds."""
        self._inspect_timeout_s = inspect_timeout_s
        self._store = store
        self._settings = settings

    async def inspect(self, path: str | None) -> Inspection:
        """Return what the directory is.

        Raises one of the `project_path_*` family, InvalidSettings or SupervisorUnavailable.
        """
        form = validate_form(path)
        reply = await self._store.requests.call(
            "inspect_path", {"path": form}, self._inspect_timeout_s
        )
        try:
            return Inspection.model_validate(reply)
        except ValidationError as error:
            raise SupervisorUnavailable(
                "The supervisor answered in a form this server does not know. "
                "Run the same version of both."
            ) from error

    async def free_name(self, name: str, besides: str | None = None) -> str:
        """Return `name`, or `name (2)` when another live session than `besides` has it."""
        sessions = await self._store.sessions.list()
        others = [each for each in sessions if each.id != besides and not never_started(each)]
        return unique_name(name, [each.name for each in others])

    async def claim(
        self,
        session: Session,
        found: Inspection,
        events: Iterable[NewEvent] = (),
        conversation: Conversation | None = None,
    ) -> Session:
        """Record the session, what its sandbox should be and its conversation, in one step.

        A session that never started gives slot and path up to it. Raises SessionLimitReached,
        ProjectAlreadyOpen or InvalidSettings.
        """
        story = list(events)
        theme = found.settings.get("theme")
        session = session.model_copy(update={"theme": theme if isinstance(theme, str) else None})
        try:
            return await self._claim(session, found, story, conversation)
        except ProjectAlreadyOpen:
            if not await give_way(self._store, found.real_path):
                raise
        except SessionLimitReached:
            if not await give_way(self._store, None):
                raise
        return await self._claim(session, found, story, conversation)

    async def _claim(
        self,
        session: Session,
        found: Inspection,
        events: list[NewEvent],
        conversation: Conversation | None,
    ) -> Session:
        agreed = await terms(self._settings, found.real_path, found.widening, found.settings_digest)
        told = [*agreed.events, *_of_root(found)]
        story = [session_event("session.created", session), *events, *told]
        return await self._store.sessions.claim(
            session,
            _intent(session, found, agreed.settings),
            self._settings.max_sessions,
            story,
            approval=agreed.approval,
            conversation=conversation,
            place=found.place,
        )


def _of_root(found: Inspection) -> list[NewEvent]:
    if found.owner_uid != 0:
        return []
    return [notice("info", "project_of_root", _ROOT)]


def _intent(session: Session, found: Inspection, settings: Settings) -> SandboxIntent:
    return SandboxIntent(
        session_id=session.id,
        project_path=found.real_path,
        owner_uid=found.owner_uid,
        owner_gid=found.owner_gid,
        image=settings.sandbox_image,
        memory_bytes=parse_size(settings.sandbox_memory),
        cpus=settings.sandbox_cpus,
        pids=settings.sandbox_pids,
        tmpfs_bytes=parse_size(settings.sandbox_tmpfs),
        disk_bytes=parse_size(settings.sandbox_disk),
        disk_warning_bytes=parse_size(settings.sandbox_disk_warning),
        network=settings.sandbox_network,
        oci_runtime=settings.oci_runtime,
    )
