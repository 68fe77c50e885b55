"""Looking at a directory that somebody wants to work in.

Owns the checks of a project path that need the disk, in the contract's order:
not_found, not_directory, not_allowed, permission_denied. Refuses to write, to
follow a link below the project, and to read more than names and the project's
own settings file.
"""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, NoReturn, TypeVar

from orchestrator.domain.errors import (
    InvalidArgument,
    ProjectPathNotAllowed,
    ProjectPathNotFound,
    ProjectPathPermissionDenied,
    ProjectPathTooLong,
    Unavailable,
)
from orchestrator.domain.language import detect_language
from orchestrator.domain.paths import (
    is_beneath,
    not_directory,
    not_found,
    validate_form,
    validate_place,
)
from orchestrator.supervisor.project_settings import read_project_settings

MAX_NAMES: Final = 10_000
"""Names of the top directory looked at; a larger directory is judged by these."""

INSPECTION_TIMEOUT_S: Final = 10.0
"""Seconds a directory may take to answer; a network file system may never do."""

INSPECTION_THREADS: Final = 8
"""Directories looked at together; those that never answer keep their thread."""

_Result = TypeVar("_Result")

_READABLE: Final = stat.S_IRUSR | stat.S_IXUSR


@dataclass(frozen=True, slots=True)
class Places:
    """Where projects may lie on this machine; real paths."""

    roots: tuple[str, ...]
    """Directories beneath which projects may lie."""

    home: str
    """The user's home, never a project itself."""

    private: tuple[str, ...]
    """Directories of the installation: token, sockets, data. No project may reach them."""


class Inspector:
    """Answers what a directory is, away from the event loop."""

    def __init__(self, places: Places) -> None:
        """Prepare threads; `places` says what is allowed."""
        self._places = places
        self._pool = ThreadPoolExecutor(INSPECTION_THREADS, thread_name_prefix="inspect")

    async def inspect(self, path: str | None) -> dict[str, Any]:
        """Return what `inspect` returns; raises what it raises, and Unavailable after 10 s."""
        return await self._in_thread(path, inspect, path, self._places)

    async def verify(self, path: str, owner_uid: int, owner_gid: int) -> None:
        """Return when `path` is still what it was when its session was made.

        Asked before every start: what is mounted must not have become a link meanwhile, and
        whoever can write records must not be able to name a place that nobody may work in.
        Raises the ProjectPath errors, and Unavailable after 10 s.
        """
        await self._in_thread(path, verify, path, owner_uid, owner_gid, self._places)

    def close(self) -> None:
        """Let the threads go; one that waits for a dead disk is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _in_thread(
        self, path: str | None, work: Callable[..., _Result], *arguments: Any
    ) -> _Result:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(INSPECTION_TIMEOUT_S):
                return await loop.run_in_executor(self._pool, work, *arguments)
        except TimeoutError as error:
            raise Unavailable(
                f"{path} does not answer within {INSPECTION_TIMEOUT_S:.0f} s. "
                "Check the disk or network it lies on, then try again."
            ) from error


def inspect(path: str | None, places: Places) -> dict[str, Any]:
    """Return real path, place, owner, language and settings of a project's directory.

    Blocks. Raises the ProjectPath errors in the contract's order, then InvalidSettings.
    """
    form = validate_form(path)
    real_path = _resolve(form, places)
    with _directory(real_path) as handle:
        _require_allowed(real_path, places)
        status = os.fstat(handle)
        names = _names(handle, real_path, status)
        project = read_project_settings(handle)
    return {
        "real_path": real_path,
        "place": f"{status.st_dev}:{status.st_ino}",
        "owner_uid": status.st_uid,
        "owner_gid": status.st_gid,
        "language": detect_language(names),
        "settings": project.settings,
        "widening": project.widening,
        "settings_digest": project.digest,
    }


def verify(path: str, owner_uid: int, owner_gid: int, places: Places) -> None:
    """Raise unless `path` is a real path that may be worked in and has this owner. Blocks."""
    if _resolve(validate_form(path), places) != path:
        raise ProjectPathNotAllowed(
            f"{path} leads somewhere else now. Close the session and open the place it leads to."
        )
    with _directory(path) as handle:
        _require_allowed(path, places)
        status = os.fstat(handle)
    if (status.st_uid, status.st_gid) != (owner_uid, owner_gid):
        raise ProjectPathNotAllowed(
            f"{path} has another owner now. Close the session and open it again."
        )


def _resolve(form: str, places: Places) -> str:
    try:
        real_path = os.path.realpath(form, strict=True)
        os.fsencode(real_path).decode()
    except UnicodeError as error:
        raise InvalidArgument(
            "The project path is not valid UTF-8. Rename the directory, then try again."
        ) from error
    except OSError as error:
        _refuse(form, error, places)
    return real_path


def _refuse(form: str, error: OSError, places: Places) -> NoReturn:
    if error.errno == errno.ENAMETOOLONG:
        raise ProjectPathTooLong(f"A name in “{form[:80]}…” is too long. Use a shorter one.")
    if error.errno in (errno.EACCES, errno.EPERM):
        # What lies beneath no root is refused for that, whatever could be seen there.
        validate_place(os.path.normpath(form), places.roots, places.home)
        raise ProjectPathPermissionDenied(
            f"{form} cannot be reached: {error.strerror}. Check the rights of its parents."
        )
    if error.errno == errno.ELOOP:
        raise ProjectPathNotFound(f"{form} is a symbolic link that leads in a circle. Mend it.")
    raise not_found(form, places.roots) from error


@contextmanager
def _directory(real_path: str) -> Iterator[int]:
    """Open the directory itself, never what a link put in its place meanwhile."""
    flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        handle = os.open(real_path, flags)
    except NotADirectoryError as error:
        raise not_directory(real_path) from error
    except FileNotFoundError as error:
        raise ProjectPathNotFound(f"{real_path} does not exist any more.") from error
    except OSError as error:
        raise _denied(real_path) from error
    try:
        if os.readlink(f"/proc/self/fd/{handle}") != real_path:
            raise ProjectPathNotFound(f"{real_path} was replaced meanwhile. Try again.")
        yield handle
    finally:
        os.close(handle)


def _require_allowed(real_path: str, places: Places) -> None:
    validate_place(real_path, places.roots, places.home)
    for private in places.private:
        if is_beneath(real_path, private) or is_beneath(private, real_path):
            raise ProjectPathNotAllowed(
                f"{real_path} shares files with {private}, where Jido Code keeps its token and "
                "its data. Choose another directory, or move JIDO_HOME."
            )


def _names(handle: int, real_path: str, status: os.stat_result) -> list[str]:
    """Return names of the top directory; refuses one that its own owner cannot read."""
    if status.st_mode & _READABLE != _READABLE:
        raise _denied(real_path)
    try:
        listing = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=handle)
    except OSError as error:
        raise _denied(real_path) from error
    try:
        with os.scandir(listing) as entries:
            return [entry.name for entry in islice(entries, MAX_NAMES)]
    finally:
        os.close(listing)


def _denied(real_path: str) -> ProjectPathPermissionDenied:
    return ProjectPathPermissionDenied(
        f"{real_path} cannot be read by its owner or by Jido Code. "
        "Its owner needs at least the rights r-x on it."
    )
