"""The directory of saved sessions: reading and writing one file safely.

A save goes to a random temporary name, is synchronised, renamed, and the
directory synchronised: a crash at any moment leaves the old file or the new
one, whole. Owns modes (0700, 0600), ownership and size checks; refuses to know
what the bytes mean. Everything here blocks; `orchestrator.archive.archive` calls
it off the event loop.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from orchestrator.archive.document import HEAD_BYTES, too_large
from orchestrator.domain.errors import (
    ArchiveUnavailable,
    NoSpace,
    SavedSessionNotFound,
    SavedSessionOwner,
    SavedSessionUnreadable,
)
from orchestrator.domain.ids import is_id
from orchestrator.domain.limits import MAX_SAVED_BYTES

_SUFFIX: Final = ".json"
_TEMPORARY: Final = ".saving-"
_STALE_S: Final = 3600.0
"""Seconds after which the temporary file of a save that died is removed."""
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def translated(directory: Path) -> Iterator[None]:
    """Turn the system's errors into NoSpace and ArchiveUnavailable."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise NoSpace(
                f"No space is left for {directory}. Nothing was overwritten; free some space "
                "and try again."
            ) from error
        raise ArchiveUnavailable(
            f"Saved sessions in {directory} cannot be used: {error.strerror}. "
            "Check that the directory is yours and writable."
        ) from error


def prepare(directory: Path) -> None:
    """Make the directory, for its owner only."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if stat.S_IMODE(directory.stat().st_mode) & 0o077:
        directory.chmod(0o700)


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the directory's lock, so that two writers take turns; waits for the other."""
    prepare(directory)
    handle = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def ids(directory: Path) -> list[str]:
    """Return the identifiers of all files that are named as saved sessions."""
    try:
        with os.scandir(directory) as entries:
            names = [entry.name for entry in entries if entry.name.endswith(_SUFFIX)]
    except FileNotFoundError:
        return []
    return [name for name in (n.removesuffix(_SUFFIX) for n in names) if is_id(name)]


def path_of(directory: Path, session_id: str) -> Path:
    """Return where a session is or would be saved."""
    return _path(directory, session_id)


def exists(directory: Path, session_id: str) -> bool:
    """Say whether a file of that name is there, whatever its state."""
    return is_id(session_id) and os.path.lexists(_path(directory, session_id))


def read_head(directory: Path, session_id: str) -> tuple[bytes, os.stat_result]:
    """Return the first HEAD_BYTES and the file's state; errors as `read`."""
    with _opened(directory, session_id) as (handle, state):
        return _read(handle, HEAD_BYTES), state


def read(directory: Path, session_id: str) -> bytes:
    """Return a saved session's bytes.

    Raises SavedSessionNotFound, SavedSessionOwner, SavedSessionTooLarge, or
    SavedSessionUnreadable when it is no regular file.
    """
    with _opened(directory, session_id) as (handle, state):
        return _read(handle, state.st_size)


def modified_at(directory: Path, session_id: str) -> float:
    """Return the file's modification time in seconds since 1970, 0.0 when it is gone."""
    try:
        return os.lstat(_path(directory, session_id)).st_mtime
    except FileNotFoundError:
        return 0.0


def size(directory: Path, session_id: str) -> int:
    """Return the file's size in bytes, 0 when it is gone."""
    try:
        return os.lstat(_path(directory, session_id)).st_size
    except FileNotFoundError:
        return 0


def write(directory: Path, session_id: str, data: bytes) -> None:
    """Replace a saved session by `data`, all or nothing, and make it last."""
    temporary = directory / f"{_TEMPORARY}{secrets.token_hex(8)}"
    try:
        _write_new(temporary, data)
        temporary.rename(_path(directory, session_id))
    except BaseException:  # raised again once cleaned up
        temporary.unlink(missing_ok=True)
        raise
    _synchronise(directory)


def remove(directory: Path, session_id: str) -> bool:
    """Remove a file, whatever its state; False when there was none."""
    try:
        _path(directory, session_id).unlink()
    except FileNotFoundError:
        return False
    _synchronise(directory)
    return True


def sweep(directory: Path) -> None:
    """Remove temporary files that saves left behind when they were killed."""
    for entry in directory.glob(f"{_TEMPORARY}*"):
        try:
            if time.time() - entry.stat().st_mtime > _STALE_S:
                entry.unlink()
        except FileNotFoundError:
            continue


def _path(directory: Path, session_id: str) -> Path:
    return directory / f"{session_id}{_SUFFIX}"


@contextmanager
def _opened(directory: Path, session_id: str) -> Iterator[tuple[int, os.stat_result]]:
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        handle = os.open(_path(directory, session_id), flags)
    except FileNotFoundError as error:
        raise SavedSessionNotFound(
            f"No saved session has the id {session_id}. List them to see which there are."
        ) from error
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _irregular(session_id) from error
        if error.errno == errno.EACCES:
            raise _foreign(session_id) from error
        raise
    try:
        state = os.fstat(handle)
        _check(session_id, state)
        yield handle, state
    finally:
        os.close(handle)


def _check(session_id: str, state: os.stat_result) -> None:
    if not stat.S_ISREG(state.st_mode):
        raise _irregular(session_id)
    if state.st_uid != os.geteuid():
        raise _foreign(session_id)
    if state.st_size > MAX_SAVED_BYTES:
        raise too_large(state.st_size)


def _irregular(session_id: str) -> SavedSessionUnreadable:
    return SavedSessionUnreadable(
        f"The saved session {session_id} is no regular file; it was not opened. Remove it by hand."
    )


def _foreign(session_id: str) -> SavedSessionOwner:
    return SavedSessionOwner(
        f"The saved session {session_id} belongs to another user; it was not opened. "
        "Change its owner if it is yours."
    )


def _read(handle: int, limit: int) -> bytes:
    chunks: list[bytes] = []
    while limit > 0 and (chunk := os.read(handle, min(limit, 1 << 20))):
        chunks.append(chunk)
        limit -= len(chunk)
    return b"".join(chunks)


def _write_new(path: Path, data: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(handle, view) :]
        os.fsync(handle)
    finally:
        os.close(handle)


def _synchronise(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
