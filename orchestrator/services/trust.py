"""What a project's settings file may widen, once the user trusts exactly its content.

    who decides
    ├── `jido trust`            writes the digest of a content into `$JIDO_HOME/trusted.json`
    ├── the supervisor          reads the project's file and says what it widens, and its digest
    ├── here                    applies it to a new session when both digests agree
    └── `project_tools`         does the same for the project's own tools, at each use

    trusted.json    {"/real/path": "sha256 of the settings file",
                     "/another":   {"settings": "sha256" or null, "tools": {"name": "sha256"}}}

Owns the form of that file, the comparison, the bounds of what is accepted and the word to the
user when nothing is.
Refuses half of it: a file that is not trusted widens nothing.
"""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from orchestrator.domain.errors import InvalidSettings
from orchestrator.domain.events import NewEvent
from orchestrator.services.story import notice
from orchestrator.settings import Settings, parse_size, read_settings_file

TRUST_FILE: Final = "trusted.json"
"""Beneath the home: real path of a project to what is accepted of it."""

MAX_MEMORY_BYTES: Final = 64 * 1024**3
"""Bytes of memory, and of a temporary file system, that a project may ask for."""

MAX_CPUS: Final = 64.0
"""Processors that a project may ask for."""

MAX_PIDS: Final = 32_768
"""Processes that a project may ask for."""


MAX_DISK_BYTES: Final = 4096 * 1024**3
"""Bytes added to itself that a project may ask for; 0, no ceiling, may be asked for too."""


def _bounded_size(text: str, most: int = MAX_MEMORY_BYTES) -> str:
    try:
        size = parse_size(text)
    except InvalidSettings as error:
        raise ValueError(error.detail) from error
    if size > most:
        raise ValueError(f"at most {most // 1024**3}g")
    return text


def _bounded_disk(text: str) -> str:
    return _bounded_size(text, MAX_DISK_BYTES)


_Size = Annotated[str, Field(max_length=20), AfterValidator(_bounded_size)]
_Disk = Annotated[str, Field(max_length=20), AfterValidator(_bounded_disk)]


class _Sandbox(BaseModel):
    """What a trusted project may change about its sandbox; None leaves the user's own."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    memory: _Size | None = None
    cpus: float | None = Field(default=None, gt=0, le=MAX_CPUS)
    pids: int | None = Field(default=None, ge=16, le=MAX_PIDS)
    tmpfs: _Size | None = None
    disk: _Disk | None = None
    disk_warning: _Disk | None = None
    network: Literal["none", "allowlist", "open"] | None = None
    image: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._/:@-]{0,254}$")


class _Widening(BaseModel):
    """The keys of a project's file that count only with trust."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    sandbox: _Sandbox | None = None
    approval: Literal["ask", "edits", "all"] | None = None


@dataclass(frozen=True, slots=True)
class Trusted:
    """What the user trusts of one project, as SHA-256 in hexadecimal."""

    settings: str | None = None
    """Of the settings file; None when none is trusted."""
    tools: Mapping[str, str] = field(default_factory=dict)
    """Of each tool's file, by name."""

    @property
    def to_json(self) -> str | dict[str, Any] | None:
        """What stands in the file: a project without tools has one digest, as ever."""
        if not self.tools:
            return self.settings
        return {"settings": self.settings, "tools": dict(self.tools)}


def digest_of(content: bytes) -> str:
    """Return what identifies a content in the file."""
    return sha256(content).hexdigest()


def trusted_content(home: Path, project_path: str) -> Trusted:
    """Return what is trusted of the project with this real path; nothing when nobody said so.

    Blocks. Raises InvalidSettings when the file cannot be read or is of another form.
    """
    entry = read_settings_file(home / TRUST_FILE).get(project_path)
    if entry is None or isinstance(entry, str):
        return Trusted(entry)
    if isinstance(entry, dict) and set(entry) <= {"settings", "tools"}:
        settings, tools = entry.get("settings"), entry.get("tools", {})
        is_known = settings is None or isinstance(settings, str)
        if is_known and isinstance(tools, dict) and all(isinstance(d, str) for d in tools.values()):
            return Trusted(settings, tools)
    raise InvalidSettings(
        f"{home / TRUST_FILE} has an entry for {project_path} that this version does not know. "
        f"Remove the entry, then run `jido trust {shlex.quote(project_path)}` again."
    )


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms a session runs."""

    settings: Settings
    """The installation's, with what a trusted project changes about sandboxes."""
    approval: Literal["ask", "edits", "all"] | None = None
    """What a trusted project lets the agent do unasked; None takes the installation's."""
    events: list[NewEvent] = field(default_factory=list)
    """What the user should know of it."""


async def terms(
    settings: Settings,
    project_path: str,
    widening: Mapping[str, Any],
    digest: str | None,
    environment: Mapping[str, str] = os.environ,
) -> Terms:
    """Return the terms of a new session of `project_path`, whose file says `widening`.

    The environment wins over the file. Raises InvalidSettings when the user's list of trusted
    contents cannot be read, or a trusted value is out of bounds.
    """
    if not widening:
        return Terms(settings)
    trusted = await asyncio.to_thread(trusted_content, settings.home, project_path)
    if digest is None or trusted.settings != digest:
        return Terms(settings, events=[_not_applied(project_path, widening)])
    wanted = _validated(project_path, widening)
    changes = {} if wanted.sandbox is None else wanted.sandbox.model_dump(exclude_none=True)
    names = {f"sandbox_{name}": value for name, value in changes.items()}
    free = {n: v for n, v in names.items() if not environment.get(f"JIDO_{n.upper()}")}
    approval = None if environment.get("JIDO_APPROVAL") else wanted.approval
    return Terms(settings.model_copy(update=free), approval)


def _validated(project_path: str, widening: Mapping[str, Any]) -> _Widening:
    try:
        return _Widening.model_validate(dict(widening))
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
    name = ".".join(str(part) for part in fault["loc"])
    raise InvalidSettings(
        f"{project_path}/.jido_code/settings.json: “{name}” is not usable: {fault['msg']}.",
        keys=[name],
    )


def _not_applied(project_path: str, widening: Mapping[str, Any]) -> NewEvent:
    return notice(
        "warning",
        "project_settings_not_trusted",
        f"The project's .jido_code/settings.json also sets {', '.join(sorted(widening))}. That was "
        "not applied, because this content is not trusted. Look at it and accept it with "
        f"`jido trust {shlex.quote(project_path)}`, then open the session again.",
    )
