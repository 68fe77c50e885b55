"""A project's own `.jido_code/settings.json`: hostile bytes, read strictly.

Owns which keys a project may set unasked and which only with the user's trust.
Refuses links, anything but a regular file, more than 64 KiB and unknown keys,
the latter by name. Values that are well-formed here may still be refused by the
rules of the domain.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn

from pydantic import BaseModel, ConfigDict, ValidationError

from orchestrator.domain.errors import InvalidSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_PROJECT_SETTINGS_BYTES: Final = 65_536
"""Bytes of a project's settings file."""

MAX_NAMED_KEYS: Final = 5
"""Unknown keys named in one refusal."""

FILE: Final = ".jido_code/settings.json"
"""Where the file lies, relative to the project."""

WIDENING_KEYS: Final = ("sandbox", "approval")
"""Keys that loosen a sandbox: they count only when the user trusts this exact content."""

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Opening a named pipe would wait for its other end.
_REGULAR: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class _SandboxSection(BaseModel):
    """What a trusted project may change about its sandbox."""

    model_config = ConfigDict(extra="forbid", strict=True)

    memory: str | None = None
    cpus: float | None = None
    pids: int | None = None
    tmpfs: str | None = None
    disk: str | None = None
    disk_warning: str | None = None
    network: Literal["none", "allowlist", "open"] | None = None
    image: str | None = None


class _File(BaseModel):
    """Every key the file may have."""

    model_config = ConfigDict(extra="forbid", strict=True)

    provider: str | None = None
    model: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    theme: str | None = None
    sandbox: _SandboxSection | None = None
    approval: Literal["ask", "edits", "all"] | None = None


@dataclass(frozen=True, slots=True)
class ProjectSettings:
    """What a project's file says."""

    settings: dict[str, Any] = field(default_factory=dict)
    """Keys that count unasked, only those the file sets."""

    widening: dict[str, Any] = field(default_factory=dict)
    """Keys that count only when trusted, only those the file sets."""

    digest: str | None = None
    """SHA-256 of the file's bytes in hexadecimal; None when there is no file or it is empty."""


def read_project_settings(project: int) -> ProjectSettings:
    """Read the file beneath the open directory `project`; an absent or empty one says nothing.

    Blocks. Raises InvalidSettings with one line that names the fault.
    """
    raw = _read(project)
    if not raw.strip():
        return ProjectSettings()
    values = _validated(_parsed(raw))
    return ProjectSettings(
        {name: value for name, value in values.items() if name not in WIDENING_KEYS},
        {name: value for name, value in values.items() if name in WIDENING_KEYS},
        sha256(raw).hexdigest(),
    )


def _read(project: int) -> bytes:
    try:
        with (
            _opened(".jido_code", _DIRECTORY, project) as directory,
            _opened("settings.json", _REGULAR, directory) as file,
        ):
            return _read_regular(file)
    except FileNotFoundError:
        return b""
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise _fault("is reached through a symbolic link") from error
        raise _fault(f"cannot be read ({error.strerror})") from error


def _read_regular(file: int) -> bytes:
    if not stat.S_ISREG(os.fstat(file).st_mode):
        raise _fault("is not a regular file")
    raw = b""
    while len(raw) <= MAX_PROJECT_SETTINGS_BYTES:
        more = os.read(file, MAX_PROJECT_SETTINGS_BYTES + 1 - len(raw))
        if not more:
            return raw
        raw += more
    raise _fault(f"exceeds {MAX_PROJECT_SETTINGS_BYTES // 1024} KiB")


def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        values = json.loads(raw.decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidSettings(
            f"The project's {FILE} is not valid JSON. Mend or remove it."
        ) from error
    if not isinstance(values, dict):
        raise _fault("must hold one JSON object")
    return values


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _validated(values: dict[str, Any]) -> dict[str, Any]:
    try:
        return _File.model_validate(values).model_dump(exclude_unset=True)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
    named = [".".join(_printable(part) for part in fault["loc"]) for fault in faults]
    kinds = [fault["type"] for fault in faults]
    unknown = [n for n, kind in zip(named, kinds, strict=True) if kind == "extra_forbidden"]
    if unknown:
        shown = unknown[:MAX_NAMED_KEYS]
        raise _fault(f"has unknown keys: {', '.join(f'“{name}”' for name in shown)}", *shown)
    raise _fault(f"has an unusable value for “{named[0]}”: {faults[0]['msg']}", named[0])


def _printable(part: object) -> str:
    text = str(part)[:60]
    return "".join(c if c.isprintable() else "?" for c in text)


def _fault(what: str, *keys: str) -> InvalidSettings:
    detail = f"The project's {FILE} {what}. Mend or remove it."
    return InvalidSettings(detail, keys=list(keys)) if keys else InvalidSettings(detail)


@contextmanager
def _opened(name: str, flags: int, directory: int) -> Iterator[int]:
    descriptor = os.open(name, flags, dir_fd=directory)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
