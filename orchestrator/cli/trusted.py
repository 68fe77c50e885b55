"""`$JIDO_HOME/trusted.json`: which content of which project's settings file is accepted.

Owns its form: real path of a project to the SHA-256 of the accepted content.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from typing import Final

from orchestrator.cli.failures import UsageError
from orchestrator.domain.errors import InvalidSettings
from orchestrator.local.errors import HomeUnusable
from orchestrator.local.home import prepare_home
from orchestrator.services.trust import TRUST_FILE
from orchestrator.settings import Settings, read_settings_file

_MAX_PROJECT_FILE_BYTES: Final = 65_536
"""Bytes of a project's settings file; a longer one is refused."""


def read_project_file(project: str) -> bytes:
    """Return the content of a project's settings file; raises UsageError, InvalidSettings."""
    path = os.path.join(project, ".jido_code", "settings.json")
    try:
        # The project is not trusted yet, so no link is followed out of it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            content = file.read(_MAX_PROJECT_FILE_BYTES + 1)
    except FileNotFoundError as error:
        raise UsageError(f"{project} has no .jido_code/settings.json; nothing to trust.") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    if len(content) > _MAX_PROJECT_FILE_BYTES:
        raise InvalidSettings(f"{path} exceeds 64 KiB; it cannot be a settings file.")
    try:
        fine = not content.strip() or isinstance(json.loads(content), dict)
    except ValueError as error:
        raise InvalidSettings(f"{path} is not valid JSON: {error}. Mend it first.") from error
    if not fine:
        raise InvalidSettings(f"{path} must hold one JSON object.")
    return content


def accept(settings: Settings, project: str, content: bytes) -> str:
    """Record `content` as trusted for `project` and return its SHA-256; raises HomeUnusable."""
    prepare_home(settings)
    path = settings.home / TRUST_FILE
    digest = hashlib.sha256(content).hexdigest()
    trusted = {**read_settings_file(path), os.path.realpath(project): digest}
    temporary = path.with_name(f".trusted-{secrets.token_hex(8)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(trusted, file, indent=2, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise HomeUnusable(f"{path} cannot be written: {error.strerror}.") from error
    return digest
