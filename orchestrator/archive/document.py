"""The form of a saved session: bytes from a document, and back.

A file is one JSON object on three lines, so that any JSON tool reads it and a
listing needs its first two lines only:

    {"format":"jido-session","version":1,"checksum":"<SHA-256 of the header's bytes>",
    "header":{…,"body_bytes":…,"body_sha256":"<SHA-256 of the body's bytes>"},
    "body":{"entries":[…],"todos":[…],"prompt_history":[…]}}

Owns versions and checksums. Refuses the disk: `orchestrator.archive.files` reads
and writes the bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from orchestrator.domain.errors import (
    SavedSessionTooLarge,
    SavedSessionUnreadable,
    SavedSessionVersion,
)
from orchestrator.domain.history import HistoryEntry
from orchestrator.domain.limits import MAX_SAVED_BYTES
from orchestrator.domain.message import Todo
from orchestrator.domain.models import SessionConfig
from orchestrator.domain.session import Usage

FORMAT: Final = "jido-session"
VERSION: Final = 1
"""Written by this code; every lower one that was ever released is migrated when read."""

HEAD_BYTES: Final = 65_536
"""Bytes within which the first two lines of every file end."""

MIGRATIONS: Final[dict[int, Callable[[dict[str, Any], dict[str, Any]], None]]] = {}
"""Version to the function that changes (header, body) in place to the following version."""

_HEADER_START: Final = b'"header":'
_BODY_START: Final = b'"body":'
_END: Final = b"}\n"


class Header(BaseModel):
    """What a listing shows."""

    model_config = ConfigDict(extra="ignore")

    id: str
    name: str
    project_path: str
    language: str | None = None
    config: SessionConfig
    created_at: datetime
    """UTC."""
    updated_at: datetime
    """UTC; of the record when it was saved. An older one never replaces a newer one."""
    closed_at: datetime | None = None
    """UTC; None when it was autosaved and never closed."""
    messages: int = Field(ge=0)
    """Messages in the body."""
    turns: int = Field(ge=0)
    usage: Usage
    kept: bool = False
    """True once somebody chose to save it; closing without saving then removes nothing."""


class Contents(BaseModel):
    """Everything but the header."""

    model_config = ConfigDict(extra="ignore")

    entries: list[HistoryEntry]
    """The conversation, oldest first, in both forms."""
    todos: list[Todo] = Field(default_factory=list)
    prompt_history: list[str] = Field(default_factory=list)
    """Oldest first."""


@dataclass(frozen=True, slots=True)
class Head:
    """The first two lines of a file, checked."""

    version: int
    header: dict[str, Any]
    """As written; not yet migrated."""
    length: int
    """Bytes before the body."""
    body_bytes: int
    body_sha256: str

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        return self.length + self.body_bytes + len(_END)


def encode(header: Header, contents: Contents) -> bytes:
    """Return the file's bytes; raises SavedSessionTooLarge beyond 50 MiB."""
    body = contents.model_dump_json().encode()
    fields = header.model_dump(mode="json")
    fields["body_bytes"] = len(body)
    fields["body_sha256"] = sha256(body).hexdigest()
    head = _compact(fields)
    first = _compact({"format": FORMAT, "version": VERSION, "checksum": sha256(head).hexdigest()})
    data = b"".join((first[:-1], b",\n", _HEADER_START, head, b",\n", _BODY_START, body, _END))
    if len(data) > MAX_SAVED_BYTES:
        raise too_large(len(data))
    return data


def parse_head(data: bytes) -> Head:
    """Read the first two lines, given the first HEAD_BYTES of a file.

    Raises SavedSessionUnreadable when they are damaged, SavedSessionVersion when a newer
    version wrote them.
    """
    first, newline, rest = data.partition(b"\n")
    mark = _object(first.removesuffix(b",") + b"}")
    version = mark.get("version")
    if mark.get("format") != FORMAT or type(version) is not int or version < 1 or not newline:
        raise damaged("it does not begin as a saved session does")
    if version > VERSION:
        raise SavedSessionVersion(
            f"The saved session has format version {version}; this program reads up to {VERSION}. "
            "Update Jido Code to resume it."
        )
    line, newline, _ = rest.partition(b",\n")
    head = line.removeprefix(_HEADER_START)
    if not newline or head == line or sha256(head).hexdigest() != mark.get("checksum"):
        raise damaged("its header does not match its checksum")
    fields = _object(head)
    length = len(first) + 1 + len(line) + 2 + len(_BODY_START)
    body_bytes, digest = fields.get("body_bytes"), fields.get("body_sha256")
    if type(body_bytes) is not int or body_bytes < 0 or not isinstance(digest, str):
        raise damaged("its header is incomplete")
    return Head(version, fields, length, body_bytes, digest)


def read_header(head: Head) -> Header:
    """Return the header in its present form; raises SavedSessionUnreadable."""
    fields = dict(head.header)
    migrate(head.version, fields, {})
    try:
        return Header.model_validate(fields)
    except ValidationError as error:
        raise damaged("its header lacks what it needs") from error


def decode(data: bytes) -> tuple[Header, Contents]:
    """Return what `encode` was given, from a file of any released version.

    Raises SavedSessionUnreadable for anything cut, changed or malformed, SavedSessionVersion
    for a newer version.
    """
    head = parse_head(data[:HEAD_BYTES])
    body = data[head.length : head.length + head.body_bytes]
    if len(data) != head.size or data[-len(_END) :] != _END:
        raise damaged("it is not as long as its header says")
    if sha256(body).hexdigest() != head.body_sha256:
        raise damaged("its content does not match its checksum")
    fields, values = dict(head.header), _object(body)
    migrate(head.version, fields, values)
    try:
        return Header.model_validate(fields), Contents.model_validate(values)
    except ValidationError as error:
        raise damaged("its content lacks what it needs") from error


def migrate(version: int, header: dict[str, Any], body: dict[str, Any]) -> None:
    """Bring both parts, in place, from `version` to VERSION, one version at a time."""
    for step in range(version, VERSION):
        MIGRATIONS[step](header, body)


def too_large(size: int) -> SavedSessionTooLarge:
    """Return the refusal of a saved session of `size` bytes."""
    return SavedSessionTooLarge(
        f"The saved session has {size:,} bytes; at most {MAX_SAVED_BYTES:,} are allowed.",
        size_bytes=size,
    )


def _compact(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True).encode()


def _object(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise damaged("it is not valid JSON") from error
    if not isinstance(value, dict):
        raise damaged("it is not a JSON object")
    return value


def damaged(why: str) -> SavedSessionUnreadable:
    """Return the refusal of a file, with the reason."""
    return SavedSessionUnreadable(
        f"The saved session is damaged: {why}. The file is kept; restore it from a backup, "
        "or delete the saved session."
    )
