"""Sessions as portable documents: export and import.

Owns the mapping between a document and what is kept here, and which secrets leave with
one. Refuses to trust a document: everything in it is checked as if a client had typed it,
older versions go through the same steps as older files, and an import lands among the
saved sessions, where resuming asks the usual questions. No tool is allowed by an import.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import from_json, to_json

from orchestrator.archive.archive import Archive
from orchestrator.archive.document import Contents, Header
from orchestrator.archive.migrations import MIGRATIONS, migrate
from orchestrator.domain.errors import InvalidRequest, SavedSessionVersion
from orchestrator.domain.history import ApprovalRecord, HistoryEntry
from orchestrator.domain.ids import is_id, new_id
from orchestrator.domain.message import Message, Todo
from orchestrator.domain.models import ConfigChange, SessionConfig, merge_config
from orchestrator.domain.names import validate_name
from orchestrator.domain.paths import validate_form
from orchestrator.domain.redaction import redact
from orchestrator.domain.session import Usage
from orchestrator.services.clock import now
from orchestrator.services.saving import contents_of, header_of
from orchestrator.services.transfer_checks import check_model_history, check_nesting
from orchestrator.store.facade import Store
from orchestrator.wire.bodies import SavedSession
from orchestrator.wire.portable import VERSION, Portable

_HEADER_FIELDS: Final = frozenset(
    {
        "id",
        "name",
        "project_path",
        "language",
        "config",
        "created_at",
        "updated_at",
        "closed_at",
        "usage",
        "turns",
    }
)
"""Fields of a document that a saved file has in its header."""


class TransferService:
    """Takes sessions out and in."""

    def __init__(self, store: Store, archive: Archive) -> None:
        """Export from `store` and `archive`, import into `archive`."""
        self._store = store
        self._archive = archive

    async def export(self, session_id: str, *, redacts: bool = False) -> bytes:
        """Return a live session as one JSON document; raises SessionNotFound.

        With `redacts`, what looks like a secret is taken out of its words, arguments and results.
        """
        session, conversation = await self._store.history.snapshot(session_id)
        contents = contents_of(conversation)
        header = header_of(session, contents, None, kept=True)
        return await asyncio.to_thread(_document, header, contents, redacts)

    async def export_saved(self, session_id: str, *, redacts: bool = False) -> bytes:
        """Return a saved session as one JSON document; raises as loading it does."""
        header, contents = await self._archive.load(session_id)
        return await asyncio.to_thread(_document, header, contents, redacts)

    async def import_document(self, raw: bytes, project_path: str | None = None) -> SavedSession:
        """Save a document as a session to be resumed; its id changes when it is taken.

        `project_path` says where its project is here; None takes what the document says. Raises
        InvalidRequest naming the field at fault, SavedSessionVersion, SavedSessionTooLarge,
        SavedLimitReached, NoSpace or ArchiveUnavailable.
        """
        document = await asyncio.to_thread(read_document, raw)
        contents = _contents(document)
        if not contents.entries:
            raise InvalidRequest("The document holds no messages; there is nothing to import.")
        path = _path(document.project_path if project_path is None else project_path)
        header = _header(document, await self._free_id(document.id), path)
        await self._archive.save(header, contents)
        listed = await self._archive.listing()
        return next(entry for entry in listed if entry.id == header.id)

    async def _free_id(self, wanted: str) -> str:
        if not is_id(wanted) or await self._archive.exists(wanted):
            return new_id()
        return wanted if await self._store.sessions.find(wanted) is None else new_id()


def pair(messages: list[Any], model_history: list[Any]) -> list[dict[str, Any]]:
    """Return entries that hold both lists in order, side by side where they are equally long."""
    if len(messages) == len(model_history):
        return [
            {"message": message, "model": model}
            for message, model in zip(messages, model_history, strict=True)
        ]
    return [
        *({"message": None, "model": model} for model in model_history),
        *({"message": message, "model": None} for message in messages),
    ]


def _document(header: Header, contents: Contents, redacts: bool) -> bytes:
    entries = contents.entries
    said: dict[str, Any] = {
        "messages": [e.message.model_dump(mode="json") for e in entries if e.message is not None],
        "model_history": [entry.model for entry in entries if entry.model is not None],
        **contents.model_dump(mode="json", include={"todos", "prompt_history", "approvals"}),
    }
    if redacts:
        said = redact(said)
    fields = header.model_dump(mode="json", include=set(_HEADER_FIELDS))
    document = {"format": "jido-session", "version": VERSION, **fields, **said}
    return to_json(document, inf_nan_mode="null")


def read_document(raw: bytes) -> Portable:
    """Return a document in its present form; raises InvalidRequest or SavedSessionVersion."""
    document = _current(_object(raw))
    try:
        portable = Portable.model_validate(document)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise _unusable(".".join(str(part) for part in fault["loc"]), str(fault["msg"])) from error
    if len({message.id for message in portable.messages}) < len(portable.messages):
        raise _unusable("messages", "two messages have the same id")
    check_model_history(portable.model_history)
    return portable


def _object(raw: bytes) -> dict[str, Any]:
    try:
        document = from_json(raw, allow_inf_nan=False)
    except ValueError as error:
        raise _unusable("document", f"it is not valid JSON ({error})") from error
    if not isinstance(document, dict) or document.get("format") != "jido-session":
        raise _unusable("format", "it is not “jido-session”")
    check_nesting(document)
    return document


def _current(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document in today's version; what is wrong with it stays wrong."""
    version = document.get("version")
    if type(version) is not int or version < 1:
        raise _unusable("version", "it is not a positive number")
    if version > VERSION:
        raise SavedSessionVersion(
            f"The document has version {version}; this program reads up to {VERSION}. "
            "Update Jido Code to import it."
        )
    if version == VERSION or version not in MIGRATIONS:
        return document
    return _migrated(document, version)


def _migrated(document: dict[str, Any], version: int) -> dict[str, Any]:
    messages, history = document.get("messages"), document.get("model_history")
    if not isinstance(messages, list) or not isinstance(history, list):
        raise _unusable("messages", "it is not a list")
    header = {key: value for key, value in document.items() if key in _HEADER_FIELDS}
    rest = ("todos", "prompt_history")
    body = {
        "entries": pair(messages, history),
        **{key: document[key] for key in rest if key in document},
    }
    unknown = document.keys() - _HEADER_FIELDS - {*rest, *("messages", "model_history")}
    extra = {key: document[key] for key in unknown - {"format", "version"}}
    migrate(version, VERSION, header, body)
    entries = body.pop("entries")
    body.pop("allowed_tools", None)
    return {
        **extra,
        **header,
        **body,
        "format": "jido-session",
        "version": VERSION,
        "messages": [entry["message"] for entry in entries if entry["message"] is not None],
        "model_history": [entry["model"] for entry in entries if entry["model"] is not None],
    }


def _contents(document: Portable) -> Contents:
    messages = [Message.model_validate(message.model_dump()) for message in document.messages]
    return Contents(
        entries=[HistoryEntry(**entry) for entry in pair(messages, document.model_history)],
        todos=[Todo.model_validate(todo.model_dump()) for todo in document.todos],
        prompt_history=document.prompt_history,
        approvals=[ApprovalRecord.model_validate(each.model_dump()) for each in document.approvals],
    )


def _header(document: Portable, session_id: str, project_path: str) -> Header:
    change = ConfigChange(**document.config.model_dump())
    return Header(
        id=session_id,
        name=validate_name(document.name),
        project_path=project_path,
        language=document.language,
        config=merge_config(SessionConfig(), change),
        created_at=document.created_at,
        updated_at=now(),
        closed_at=now(),
        messages=len(document.messages),
        turns=document.turns,
        usage=Usage.model_validate(document.usage.model_dump()),
        kept=True,
    )


def _path(path: str) -> str:
    if not path.isprintable():
        raise _unusable("project_path", "control characters are not allowed; name another path")
    return validate_form(path)


def _unusable(field: str, why: str) -> InvalidRequest:
    # Both may quote the document, which is a stranger's.
    field, why = ("".join(c if c.isprintable() else "?" for c in text) for text in (field, why))
    return InvalidRequest(
        f"This is no exported session: “{field[:200]}” is not usable: {why[:300]}. "
        "Use a file made by an export.",
        field=field[:200],
    )
