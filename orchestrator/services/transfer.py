"""Sessions as portable documents: export and import.

Owns the mapping between a document and what is kept here. Refuses to trust a
document: everything in it is checked as if a client had typed it, and an import
lands among the saved sessions, where resuming asks the usual questions.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import ValidationError

from orchestrator.archive.archive import Archive
from orchestrator.archive.document import Contents, Header
from orchestrator.domain.errors import InvalidRequest, SavedSessionVersion, SessionNotFound
from orchestrator.domain.history import HistoryEntry
from orchestrator.domain.ids import is_id, new_id
from orchestrator.domain.message import Message
from orchestrator.domain.models import ConfigChange, SessionConfig, merge_config
from orchestrator.domain.names import validate_name
from orchestrator.domain.paths import validate_form
from orchestrator.services.clock import now
from orchestrator.store.facade import Store
from orchestrator.wire.bodies import Portable, SavedSession

VERSION: Final = 1
"""Version of documents written; the only one there is."""


class TransferService:
    """Takes sessions out and in."""

    def __init__(self, store: Store, archive: Archive) -> None:
        """Export from `store`, import into `archive`."""
        self._store = store
        self._archive = archive

    async def export(self, session_id: str) -> bytes:
        """Return a live session as one JSON document; raises SessionNotFound."""
        session = await self._store.sessions.get(session_id)
        history = self._store.history
        entries = await history.entries(session_id)
        todos = await history.todos(session_id)
        prompts = await history.prompts(session_id)
        if await self._store.sessions.find(session_id) is None:
            raise SessionNotFound("The session was closed meanwhile.")

        def write() -> bytes:
            document = Portable(
                version=VERSION,
                **session.model_dump(
                    include={
                        "id",
                        "name",
                        "project_path",
                        "language",
                        "config",
                        "created_at",
                        "updated_at",
                        "usage",
                        "turns",
                    }
                ),
                messages=[entry.message for entry in entries if entry.message is not None],
                model_history=[entry.model for entry in entries if entry.model is not None],
                todos=todos,
                prompt_history=prompts,
            )
            return document.model_dump_json().encode()

        return await asyncio.to_thread(write)

    async def import_document(self, raw: bytes) -> SavedSession:
        """Save a document as a session to be resumed; its id changes when it is taken.

        Raises InvalidRequest naming the field at fault, SavedSessionVersion,
        SavedSessionTooLarge, SavedLimitReached, NoSpace or ArchiveUnavailable.
        """
        document = await asyncio.to_thread(_parse, raw)
        session_id = await self._free_id(document.id)
        contents = Contents(
            entries=pair(document.messages, document.model_history),
            todos=document.todos,
            prompt_history=document.prompt_history,
        )
        if not contents.entries:
            raise InvalidRequest("The document holds no messages; there is nothing to import.")
        header = _header(document, session_id)
        await self._archive.save(header, contents)
        return next(entry for entry in await self._archive.listing() if entry.id == session_id)

    async def _free_id(self, wanted: str) -> str:
        taken = {entry.id for entry in await self._archive.listing()}
        is_free = is_id(wanted) and wanted not in taken
        if is_free and await self._store.sessions.find(wanted) is None:
            return wanted
        return new_id()


def pair(messages: list[Message], model_history: list[dict[str, Any]]) -> list[HistoryEntry]:
    """Return entries that hold both lists in order, side by side where they are equally long."""
    if len(messages) == len(model_history):
        return [
            HistoryEntry(message=message, model=model)
            for message, model in zip(messages, model_history, strict=True)
        ]
    return [
        *(HistoryEntry(model=model) for model in model_history),
        *(HistoryEntry(message=message) for message in messages),
    ]


def _parse(raw: bytes) -> Portable:
    try:
        document = Portable.model_validate_json(raw)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(str(part) for part in fault["loc"])[:200]
        raise InvalidRequest(
            f"This is no exported session: “{field or 'document'}” is not usable: {fault['msg']}."
            " Use a file made by an export.",
            field=field,
        ) from error
    if document.version != VERSION:
        raise SavedSessionVersion(
            f"The document has version {document.version}; this program reads {VERSION}."
        )
    if document.turns < 0 or document.usage.input_tokens < 0 or document.usage.output_tokens < 0:
        raise InvalidRequest("Turns and tokens of the document cannot be negative.")
    return document


def _header(document: Portable, session_id: str) -> Header:
    config = document.config
    change = ConfigChange(**config.model_dump())
    return Header(
        id=session_id,
        name=validate_name(document.name),
        project_path=validate_form(document.project_path),
        language=_language(document.language),
        config=merge_config(SessionConfig(), change),
        created_at=_utc(document.created_at),
        updated_at=now(),
        closed_at=now(),
        messages=len(document.messages),
        turns=document.turns,
        usage=document.usage,
        kept=True,
    )


def _language(value: str | None) -> str | None:
    if value is None or (value.isprintable() and len(value) <= 40):
        return value
    raise InvalidRequest("“language” of the document is not usable.", field="language")


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
