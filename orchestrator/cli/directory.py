"""The directory that a command is about, as the command line names it.

Owns how its path becomes one the server understands. Loads nothing that takes long: the
client asks before its first frame.
"""

from __future__ import annotations

import os
from pathlib import Path

from orchestrator.cli.failures import UsageError
from orchestrator.domain.errors import ProjectPathNotDirectory, ProjectPathNotFound


def project_path(project: Path | None) -> str:
    """Return the absolute path of a project; None means the current directory."""
    try:
        return os.path.abspath(project or Path.cwd())
    except (OSError, ValueError) as error:
        raise UsageError(f"The project cannot be found: {error}.") from error


def check_project(path: str, *, elsewhere: bool) -> None:
    """Refuse at once what cannot be a project; `elsewhere` leaves it to a server named by URL.

    Raises ProjectPathNotFound or ProjectPathNotDirectory.
    """
    if elsewhere or "\0" in path:
        return
    try:
        if not os.path.lexists(path):
            raise ProjectPathNotFound(f"{path} does not exist. Name an existing directory.")
        if not os.path.isdir(path):
            raise ProjectPathNotDirectory(f"{path} is not a directory. Name the directory.")
    except OSError as error:
        raise UsageError(f"{path[:200]} cannot be a project: {error.strerror}.") from error
