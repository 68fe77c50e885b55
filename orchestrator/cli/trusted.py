"""`$JIDO_HOME/trusted.json`: which content of which project is accepted.

Owns writing it; `services/trust` has its form and reads it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestrator.cli.project_content import ProjectContent
from orchestrator.local.errors import HomeUnusable
from orchestrator.local.home import prepare_home
from orchestrator.services.trust import TRUST_FILE, Trusted, digest_of, trusted_content
from orchestrator.settings import Settings, read_settings_file


def trusted_before(settings: Settings, project: str) -> Trusted:
    """Return what is trusted of `project` already; raises InvalidSettings."""
    return trusted_content(settings.home, os.path.realpath(project))


def accept(settings: Settings, project: str, content: ProjectContent) -> Trusted:
    """Record `content` as all that is trusted of `project`; raises HomeUnusable."""
    prepare_home(settings)
    path = settings.home / TRUST_FILE
    accepted = Trusted(
        None if content.settings is None else digest_of(content.settings),
        {name: digest_of(text) for name, text in content.tools.items()},
    )
    try:
        with _alone(settings.home):
            _write(path, {**read_settings_file(path), os.path.realpath(project): accepted.to_json})
    except OSError as error:
        raise HomeUnusable(f"{path} cannot be written: {error.strerror}.") from error
    return accepted


@contextlib.contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Keep two commands from losing each other's entry."""
    descriptor = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write(path: Path, trusted: dict[str, Any]) -> None:
    temporary = path.with_name(f".trusted-{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(trusted, file, indent=2, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
