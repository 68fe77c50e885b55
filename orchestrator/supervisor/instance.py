"""What belongs to this installation on disk: its identity and the directory of its channels.

Owns `$JIDO_HOME/instance`, whose lock keeps a second supervisor of the same
installation away. Refuses directories that others may enter.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from orchestrator.domain.errors import Conflict, InvalidSettings
from orchestrator.domain.ids import is_id, new_id

LOCK_WAIT_S: Final = 10.0
"""Seconds to wait for a predecessor that is ending."""

_LONGEST: Final = 64
"""Bytes read of the file; an identifier has 36."""


class SupervisorRunning(Conflict):
    """Another supervisor of this installation runs."""

    code = "supervisor_running"
    title = "Supervisor already running"


@contextmanager
def own_instance(home: Path, wait_s: float = LOCK_WAIT_S) -> Iterator[str]:
    """Yield the installation's identifier, made at first use, and hold its lock for the block.

    Blocks up to `wait_s` seconds. Raises SupervisorRunning when somebody else holds the lock,
    InvalidSettings when the file cannot be used.
    """
    make_private(home)
    path = home / "instance"
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        raise InvalidSettings(f"{path} cannot be opened: {error.strerror}.") from error
    try:
        _lock(descriptor, path, wait_s)
        yield _identifier(descriptor, path)
    finally:
        os.close(descriptor)


def make_private(directory: Path) -> None:
    """Make `directory` with mode 0700; one that exists must be ours alone, links refused.

    Raises InvalidSettings otherwise.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = directory.stat(follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            raise InvalidSettings(f"{directory} is not a directory of this user. Move it away.")
        if status.st_mode & 0o077:
            directory.chmod(0o700)
    except OSError as error:
        raise InvalidSettings(
            f"The directory {directory} cannot be used: {error.strerror}. "
            "Mend its rights, or set JIDO_HOME to another."
        ) from error


def _lock(descriptor: int, path: Path, wait_s: float) -> None:
    deadline = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                raise SupervisorRunning(
                    f"A supervisor of {path.parent} runs already. Stop it with `jido down`, "
                    "or set JIDO_HOME to another directory."
                ) from error
            time.sleep(0.05)
        else:
            return


def _identifier(descriptor: int, path: Path) -> str:
    text = os.pread(descriptor, _LONGEST, 0).decode("ascii", errors="replace").strip()
    if is_id(text):
        return text
    if text:
        raise InvalidSettings(
            f"{path} does not hold an identifier. Remove it when no sandbox of it runs any more."
        )
    made = new_id()
    os.pwrite(descriptor, f"{made}\n".encode(), 0)
    os.fsync(descriptor)
    return made
