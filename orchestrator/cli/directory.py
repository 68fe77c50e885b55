"""The directory that a command is about, as the command line names it.

Owns how its path becomes one the server understands. Loads nothing that takes long: the
client asks before its first frame.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.cli.failures import UsageError
from orchestrator.domain.paths import not_directory, not_found

if TYPE_CHECKING:
    from orchestrator.settings import Settings


def project_path(project: Path | None) -> str:
    """Return the absolute path of a project; None means the current directory."""
    try:
        return os.path.abspath(project or Path.cwd())
    except (OSError, ValueError) as error:
        raise UsageError(f"The project cannot be found: {error}.") from error


def check_project(settings: Settings, path: str, *, elsewhere: bool) -> None:
    """Refuse at once what cannot be a project; `elsewhere` leaves it to a server named by URL.

    In the words of the server. Raises ProjectPathNotFound or ProjectPathNotDirectory.
    """
    if elsewhere or "\0" in path:
        return
    try:
        if not os.path.lexists(path):
            raise not_found(path, settings.roots)
        if not os.path.isdir(path):
            raise not_directory(os.path.realpath(path))
    except OSError as error:
        raise UsageError(f"{path[:200]} cannot be a project: {error.strerror}.") from error
