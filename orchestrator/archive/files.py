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
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from orchestrator.archive.document import HEAD_BYTES, too_large
from orchestrator.archive.errors import (
    SavedSessionDirectory,
    SavedSessionHardLink,
    SavedSessionSpecial,
    SavedSessionSymlink,
)
from orchestrator.domain.errors import (
    ArchiveUnavailable,
    JidoError,
    NoSpace,
    SavedSessionNotFound,
    SavedSessionOwner,
)
from orchestrator.domain.ids import is_id
from orchestrator.domain.limits import MAX_SAVED_BYTES

_SUFFIX: Final = ".json"
_TEMPORARY: Final = ".saving-"
_STALE_S: Final = 3600.0
"""Seconds after which the temporary file of a save that died is removed."""
_LOCK_S: Final = 20.0
"""Seconds to wait for another writer, which may have been suspended, before giving up."""
_LOCK_PAUSE_S: Final = 0.01
"""Seconds between two looks at the lock."""
_FULL: Final = {
    errno.ENOSPC: "The disk is full",
    errno.EDQUOT: "Your disk quota is used up",
    errno.EFBIG: "The file would exceed what the system allows",
}
_UNUSABLE: Final = {
    errno.EROFS: "the file system is read-only; mount it writable, or set JIDO_HOME elsewhere",
    errno.EIO: "the disk reports an error; check it",
}


@contextmanager
def translated(directory: Path) -> Iterator[None]:
    """Turn the system's errors into NoSpace and ArchiveUnavailable."""
    try:
        yield
    except OSError as error:
        number = error.errno or 0
        if number in _FULL:
            raise NoSpace(
                f"{_FULL[number]}: nothing can be saved in {directory}. What was saved before is "
                "whole; free some space and save again."
            ) from error
        why = _UNUSABLE.get(
            number, f"{error.strerror}; check that the directory is yours and writable"
        )
        raise ArchiveUnavailable(f"Saved sessions in {directory} cannot be used: {why}.") from error


def prepare(directory: Path) -> None:
    """Make the directory, for its owner only."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if stat.S_IMODE(directory.stat().st_mode) & 0o077:
        directory.chmod(0o700)


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the directory's lock, so that two writers take turns.

    Raises ArchiveUnavailable when the other one does not end.
    """
    prepare(directory)
    handle = os.open(directory / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _take(handle)
        yield
    finally:
        os.close(handle)


def _take(handle: int) -> None:
    deadline = time.monotonic() + _LOCK_S
    while True:
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise ArchiveUnavailable(
                    f"Another process has been saving for {_LOCK_S:.0f} seconds. Try again, and "
                    "look for a suspended jido process."
                ) from None
        time.sleep(_LOCK_PAUSE_S)


def changed_at(directory: Path) -> int:
    """Return when a name was last added or removed, in nanoseconds; 0 without a directory."""
    try:
        return directory.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


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

    Raises SavedSessionNotFound, SavedSessionOwner, SavedSessionTooLarge, or one of
    `orchestrator.archive.errors` when it is no regular file with one name.
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
    """Remove a file, or what is in its place, whatever its state; False when there was none."""
    path = _path(directory, session_id)
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except (IsADirectoryError, PermissionError):
        if not stat.S_ISDIR(path.lstat().st_mode):
            raise
        shutil.rmtree(path)
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
    path = _path(directory, session_id)
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        # Looked at before it is opened: opening a device may already do something.
        _check(session_id, path.lstat())
        handle = os.open(path, flags)
    except FileNotFoundError as error:
        raise SavedSessionNotFound(
            f"No saved session has the id {session_id}. List them to see which there are."
        ) from error
    except PermissionError as error:
        raise _foreign(session_id) from error
    try:
        # And again once it is open: it may have been exchanged meanwhile.
        state = os.fstat(handle)
        _check(session_id, state)
        yield handle, state
    finally:
        os.close(handle)


def _check(session_id: str, state: os.stat_result) -> None:
    fault = _fault_of_kind(state)
    if fault is not None:
        kind, what = fault
        raise kind(
            f"The saved session {session_id} is {what}; it was not opened. Delete the saved "
            "session, or put the file itself in its place."
        )
    if state.st_uid != os.geteuid():
        raise _foreign(session_id)
    if state.st_size > MAX_SAVED_BYTES:
        raise too_large(
            state.st_size, "The file was not opened; delete it, or restore it from a backup."
        )


def _fault_of_kind(state: os.stat_result) -> tuple[type[JidoError], str] | None:
    if stat.S_ISLNK(state.st_mode):
        return SavedSessionSymlink, "a symbolic link"
    if stat.S_ISDIR(state.st_mode):
        return SavedSessionDirectory, "a directory"
    if not stat.S_ISREG(state.st_mode):
        return SavedSessionSpecial, "a pipe, a socket or a device"
    if state.st_nlink > 1:
        return SavedSessionHardLink, "a file with a second name (a hard link)"
    return None


def _foreign(session_id: str) -> SavedSessionOwner:
    return SavedSessionOwner(
        f"The saved session {session_id} belongs to another user, or may not be read; it was not "
        "opened. Change its owner if it is yours."
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
