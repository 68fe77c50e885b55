"""Rules about project paths that need no look at the disk.

Owns the order of checks and which directories are never projects. Refuses to
touch the file system: what exists is found out by the supervisor.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from typing import Final

from orchestrator.domain.errors import (
    InvalidArgument,
    ProjectPathMissing,
    ProjectPathNotAbsolute,
    ProjectPathNotAllowed,
    ProjectPathNotDirectory,
    ProjectPathNotFound,
    ProjectPathTooLong,
)
from orchestrator.domain.limits import MAX_PATH_BYTES

SYSTEM_DIRECTORIES: Final = (
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/proc",
    "/run",
    "/sbin",
    "/sys",
    "/usr",
    "/var/cache",
    "/var/lib",
    "/var/log",
    "/var/run",
    "/var/spool",
)
"""Never projects, nor anything beneath them."""

BARE_DIRECTORIES: Final = ("/", "/home", "/media", "/mnt", "/opt", "/root", "/srv", "/tmp", "/var")
"""Never projects themselves; what lies beneath them may be one."""


def validate_form(path: str | None) -> str:
    """Return `path` without trailing slashes, checked as text only.

    Raises ProjectPathMissing, ProjectPathTooLong, ProjectPathNotAbsolute, InvalidArgument (NUL).
    """
    if path is None or not path.strip():
        raise ProjectPathMissing("No project path was given. Name the directory to work in.")
    if len(path.encode("utf-8", errors="surrogatepass")) > MAX_PATH_BYTES:
        raise ProjectPathTooLong(
            f"The project path exceeds {MAX_PATH_BYTES} bytes. Use a shorter one."
        )
    if not path.startswith("/"):
        raise ProjectPathNotAbsolute(
            f"“{path}” is not absolute. Give the full path, starting with a slash."
        )
    if "\0" in path:
        raise InvalidArgument("A project path cannot hold a NUL character.")
    return posixpath.normpath("/" + path.lstrip("/")) if ".." not in path.split("/") else path


def validate_place(real_path: str, roots: Iterable[str], home: str) -> None:
    """Check where a real path lies; symbolic links are already resolved in all arguments.

    Raises ProjectPathNotAllowed for a system directory, a bare top directory, the home
    directory itself, or a place beneath none of `roots`.
    """
    roots = list(roots)
    if real_path in BARE_DIRECTORIES or real_path == home or real_path in roots:
        raise ProjectPathNotAllowed(
            f"{real_path} is too broad to be a project. Choose a directory inside it."
        )
    if any(is_beneath(real_path, system) for system in SYSTEM_DIRECTORIES):
        raise ProjectPathNotAllowed(
            f"{real_path} belongs to the system. Choose a directory of your own."
        )
    if not any(is_beneath(real_path, root) for root in roots):
        raise ProjectPathNotAllowed(
            f"{real_path} lies outside the project roots ({', '.join(roots)}). "
            "Add its parent to JIDO_PROJECT_ROOTS to allow it."
        )


def not_found(path: str, roots: Iterable[str]) -> ProjectPathNotFound:
    """Return the failure of a path at which nothing is; names the roots if it lies elsewhere."""
    roots = list(roots)
    hint = "Check the spelling."
    if not any(is_beneath(path, root) for root in roots):
        hint += f" Projects lie beneath {', '.join(roots)}."
    return ProjectPathNotFound(f"{path} does not exist. {hint}")


def not_directory(path: str) -> ProjectPathNotDirectory:
    """Return the failure of a path at which something else is."""
    return ProjectPathNotDirectory(f"{path} is not a directory. Name the directory that holds it.")


def is_beneath(path: str, directory: str) -> bool:
    """Say whether `path` is `directory` or lies beneath it, by whole components."""
    return path == directory or path.startswith(directory.rstrip("/") + "/")
