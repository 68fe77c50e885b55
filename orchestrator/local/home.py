"""$JIDO_HOME: its directories, its token and the lock that admits one stack.

Owns their modes (0700, 0600) and that each is made at once or not at all. Refuses
a home that somebody else could write.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
from pathlib import Path
from typing import Final

from orchestrator.local.errors import HomeUnusable
from orchestrator.settings import Settings

_MAX_TOKEN_BYTES: Final = 4096
"""Bytes of a token file; anything longer is no token."""


def prepare_home(settings: Settings) -> None:
    """Make the directories of this home; raises HomeUnusable."""
    for path in (settings.home, settings.home / "logs", settings.run_path):
        _private_directory(path)


def data_directory(settings: Settings) -> Path:
    """Return the directory of the embedded Valkey's data, made when it is missing."""
    path = settings.home / "data"
    _private_directory(path)
    return path


def read_token(settings: Settings) -> str | None:
    """Return the bearer token that clients of this home use; None when there is none yet.

    Raises HomeUnusable when the file cannot be read or holds no token.
    """
    if settings.token:
        return settings.token
    path = settings.home / "token"
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_TOKEN_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise HomeUnusable(f"{path} cannot be read: {error.strerror}.") from error
    token = raw.strip().decode("ascii", errors="replace")
    if not token or len(raw) > _MAX_TOKEN_BYTES or not token.isprintable():
        raise HomeUnusable(f"{path} holds no token. Remove it; the next start makes a new one.")
    return token


def ensure_token(settings: Settings) -> str:
    """Return the bearer token, made now when there is none; raises HomeUnusable."""
    token = read_token(settings)
    if token is not None:
        return token
    prepare_home(settings)
    path = settings.home / "token"
    temporary = path.with_name(f".token-{secrets.token_hex(8)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(32) + "\n")
        try:
            # A link never replaces: of two that start at once, the first decides.
            os.link(temporary, path)
        except FileExistsError:
            pass
        finally:
            temporary.unlink()
    except OSError as error:
        raise HomeUnusable(f"{path} cannot be written: {error.strerror}.") from error
    return read_token(settings) or ""


def lock_stack(settings: Settings) -> int | None:
    """Return a descriptor that holds the lock of this home's stack; None when another has it.

    The lock lasts as long as any process holds the descriptor, so that it can be inherited.
    """
    prepare_home(settings)
    try:
        descriptor = os.open(
            settings.home / "stack.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
    except OSError as error:
        raise HomeUnusable(f"{settings.home} cannot be written: {error.strerror}.") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _private_directory(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
    except OSError as error:
        raise HomeUnusable(
            f"{path} cannot be used: {error.strerror}. Set JIDO_HOME to a directory you can write."
        ) from error
    if not path.is_dir():
        raise HomeUnusable(f"{path} is not a directory. Move it away, or set JIDO_HOME.")
    # The owner of a link counts too: in /tmp anybody can place one.
    if found.st_uid != os.getuid() or path.stat().st_uid != os.getuid():
        raise HomeUnusable(
            f"{path} belongs to another user. Set JIDO_HOME to a directory of your own."
        )
    if not stat.S_ISLNK(found.st_mode) and found.st_mode & 0o077:
        path.chmod(0o700)
