"""The form of a saved session: bytes from a document, and back.

A file is one JSON object on three lines, so that any JSON tool reads it and a
listing needs its first two lines only:

    {"format":"jido-session","version":2,"checksum":"<SHA-256 of version and header's bytes>",
    "header":{…,"body_bytes":…,"body_sha256":"<SHA-256 of the body's bytes>"},
    "body":{"entries":[…],"todos":[…],"prompt_history":[…],"approvals":[…],"allowed_tools":[…]}}

Version 1 had no approvals, and its checksum did not cover the version.

Owns versions and checksums. Refuses the disk: `orchestrator.archive.files` reads
and writes the bytes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticSerializationError, to_jsonable_python

from orchestrator.archive.errors import damaged, truncated
from orchestrator.archive.migrations import migrate
from orchestrator.domain.errors import SavedSessionTooLarge, SavedSessionVersion
from orchestrator.domain.history import ApprovalRecord, HistoryEntry
from orchestrator.domain.limits import MAX_SAVED_BYTES
from orchestrator.domain.message import Todo
from orchestrator.domain.models import SessionConfig
from orchestrator.domain.session import Usage

FORMAT: Final = "jido-session"
VERSION: Final = 2
"""Written by this code; every lower one is migrated when read. A higher one needs a step in
MIGRATIONS and a file in `tests/unit/archive/golden`."""

HEAD_BYTES: Final = 65_536
"""Bytes within which the first two lines of every file end."""

_BEGINNING: Final = b'{"format":"jido-session","version":'
"""What every file ever written begins with."""
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
    approvals: list[ApprovalRecord] = Field(default_factory=list)
    """What the user was asked, and answered, in order."""
    allowed_tools: list[str] = Field(default_factory=list)
    """Tools that the user allowed for the session's life, by name; a project's own with content."""


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
    body = _body(contents)
    fields = header.model_dump(mode="json")
    fields["body_bytes"] = len(body)
    fields["body_sha256"] = sha256(body).hexdigest()
    head = _compact(fields)
    first = _compact({"format": FORMAT, "version": VERSION, "checksum": _checksum(VERSION, head)})
    data = b"".join((first[:-1], b",\n", _HEADER_START, head, b",\n", _BODY_START, body, _END))
    if len(data) > MAX_SAVED_BYTES:
        raise too_large(len(data), "Export it to a file, and go on in a new session.")
    return data


def _body(contents: Contents) -> bytes:
    try:
        return contents.model_dump_json().encode()
    except PydanticSerializationError:
        # Half of a surrogate pair, which no file can hold; the rest of what was said is worth it.
        values = to_jsonable_python(contents, inf_nan_mode="null")
        text = json.dumps(values, separators=(",", ":"), ensure_ascii=False)
        return text.encode("utf-8", errors="replace")


def parse_head(data: bytes, size: int) -> Head:
    """Read the first two lines, given the first HEAD_BYTES of a file of `size` bytes.

    Raises SavedSessionUnreadable when they are damaged, SavedSessionTruncated when the file
    ends within them, SavedSessionVersion when a newer version wrote them.
    """
    first, newline, rest = data.partition(b"\n")
    if not newline and _may_go_on(data, size):
        raise truncated("it ends within its first line")
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
    if not newline and _may_go_on(data, size):
        raise truncated("it ends within its header")
    if not newline or head == line or _checksum(version, head) != mark.get("checksum"):
        raise damaged("its header does not match its checksum")
    fields = _object(head)
    length = len(first) + 1 + len(line) + 2 + len(_BODY_START)
    body_bytes, digest = fields.get("body_bytes"), fields.get("body_sha256")
    if type(body_bytes) is not int or body_bytes < 0 or not isinstance(digest, str):
        raise damaged("its header is incomplete")
    found = Head(version, fields, length, body_bytes, digest)
    if size < found.size:
        raise truncated(f"{found.size - size:,} bytes are missing at its end")
    if size > found.size:
        raise damaged("it is longer than its header says")
    return found


def _may_go_on(data: bytes, size: int) -> bool:
    """Say whether `data`, the whole file, is the beginning of a longer one."""
    begins = _BEGINNING.startswith(data) or data.startswith(_BEGINNING)
    return begins and len(data) == size and not data.endswith(_END)


def _checksum(version: int, head: bytes) -> str:
    return sha256(head if version == 1 else b"%d:%b" % (version, head)).hexdigest()


def read_header(head: Head) -> Header:
    """Return the header in its present form; raises SavedSessionUnreadable."""
    fields = dict(head.header)
    migrate(head.version, VERSION, fields, {})
    try:
        return Header.model_validate(fields)
    except ValidationError as error:
        raise damaged("its header lacks what it needs") from error


def decode(data: bytes) -> tuple[Header, Contents]:
    """Return what `encode` was given, from a file of any released version.

    Raises SavedSessionUnreadable for anything changed or malformed, SavedSessionTruncated for
    what is cut off, SavedSessionVersion for a newer version.
    """
    head = parse_head(data[:HEAD_BYTES], len(data))
    body = data[head.length : head.length + head.body_bytes]
    start = data[head.length - len(_BODY_START) : head.length]
    if start != _BODY_START or data[-len(_END) :] != _END:
        raise damaged("its content is not where it should be")
    if sha256(body).hexdigest() != head.body_sha256:
        raise damaged("its content does not match its checksum")
    fields, values = dict(head.header), _object(body)
    migrate(head.version, VERSION, fields, values)
    try:
        return Header.model_validate(fields), Contents.model_validate(values)
    except ValidationError as error:
        raise damaged("its content lacks what it needs") from error


def too_large(size: int, what_to_do: str) -> SavedSessionTooLarge:
    """Return the refusal of a saved session of `size` bytes."""
    return SavedSessionTooLarge(
        f"The session takes {size:,} bytes when saved; at most {MAX_SAVED_BYTES:,} are allowed. "
        f"{what_to_do}",
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
