"""The places a sandbox needs in its project, and the places it must not change.

Owns which paths beneath a project are protected, how they are looked at without
following a symbolic link, and how missing ones are made. Everything in a project
is hostile: each component is opened relative to the directory before it.

Stdlib only and self-contained: its source also runs inside a short preparation
container (`python3 -c`), where the orchestrator itself may only read the project.
Exit codes of that: 0 prepared, 4 the owner cannot write, 5 unsafe (said on stderr).

Why these paths: `.git/hooks` and `.git/config` make the user's own git run code
outside; `.git/commondir` moves both elsewhere; `.git/config.worktree` is a second
config; `.jido_code/settings.json` would loosen the sandbox itself. `.git` and
`.jido_code` are bound onto themselves so that they cannot be renamed away.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

COMMON_DIRECTORY = b".\n"
"""Content of `.git/commondir` that changes nothing: the common directory is `.git` itself."""

MAX_PROTECTED_BYTES = 1_048_576
"""Bytes of a protected file; a larger one is refused, because it is read and may be copied."""

MAX_HOOKS = 512
"""Entries of `.git/hooks` looked at; a larger directory is refused."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OWN_WORK_TREE = re.compile(rb"^\s*(worktree\s*=|bare\s*=\s*(true|yes|on|1)\b)", re.I | re.M)
_WORKTREE_CONFIG = re.compile(rb"worktreeconfig", re.I)
_CANNOT_WRITE = {errno.EACCES, errno.EPERM, errno.EROFS}


class UnsafeLayout(Exception):
    """A path that must be protected is something that cannot be protected."""

    def __init__(self, path: str, why: str) -> None:
        """Name the path relative to the project and the reason."""
        super().__init__(f"{path} {why}")


@dataclass(frozen=True)
class Protection:
    """One mount of a path beneath the project onto itself."""

    path: str
    """Path relative to the project."""

    writable: bool
    """True for a directory that must only stay where it is."""


@dataclass(frozen=True)
class Layout:
    """What was found in a project."""

    protections: tuple[Protection, ...]
    """Mounts in the order in which they must be made."""

    missing: tuple[str, ...]
    """Paths that have to be made first; () when the project is prepared."""

    read_only: bool = False
    """True when the whole project must be mounted read-only, since its owner cannot write it."""


class _Survey:
    """Collects what is there and what is missing, making nothing."""

    def __init__(self) -> None:
        self.protections: list[Protection] = []
        self.missing: list[str] = []

    def protect(self, path: str, *, writable: bool = False) -> None:
        """Note a path that exists and must be mounted onto itself."""
        self.protections.append(Protection(path, writable))

    def lacks(self, path: str) -> None:
        """Note a path that must be made."""
        self.missing.append(path)


def survey(project: str) -> Layout:
    """Look at the project and say what to mount and what is missing.

    Raises UnsafeLayout, or OSError where the project cannot be read.
    """
    found = _Survey()
    with open_directory(project) as root:
        _survey_git(root, found)
        _survey_settings(root, found)
    return Layout(tuple(found.protections), tuple(found.missing))


def settle(layout: Layout) -> Layout:
    """Return the layout for a project in which the missing paths cannot be made.

    What lacks a protection becomes read-only as a whole: the owner may give itself
    write permission from inside and make the missing file there.
    """
    if not layout.missing:
        return layout
    if any(path.startswith(".jido_code") for path in layout.missing):
        return Layout(layout.protections, (), read_only=True)
    kept = tuple(
        Protection(each.path, each.writable and each.path != ".git") for each in layout.protections
    )
    return Layout(kept, ())


def prepare(project: str) -> Layout:
    """Make what is missing, as the calling user, and return the layout after it.

    Raises UnsafeLayout, PermissionError or OSError(EROFS) where the user cannot write.
    """
    before = survey(project)
    if not before.missing:
        return before
    refused: OSError | None = None
    with open_directory(project) as root:
        for path in before.missing:
            try:
                _make(root, path)
            except FileNotFoundError:
                # What lies in a directory that could not be made cannot be made either.
                if refused is None:
                    raise
            except OSError as error:
                if error.errno not in _CANNOT_WRITE:
                    raise
                refused = error
    after = survey(project)
    if after.missing and refused is not None:
        raise refused
    return after


@contextmanager
def open_directory(path: str, dir_fd: int | None = None) -> Iterator[int]:
    """Open a directory without following a symbolic link in its last component."""
    if dir_fd is None and os.path.realpath(path) != path:
        raise UnsafeLayout(path, "is not a real path: a part of it is a symbolic link")
    handle = os.open(path, _DIRECTORY, dir_fd=dir_fd)
    try:
        yield handle
    finally:
        os.close(handle)


def _kind(name: str, dir_fd: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _survey_git(root: int, found: _Survey) -> None:
    status = _kind(".git", root)
    if status is None:
        return
    if stat.S_ISREG(status.st_mode):
        # A linked worktree or a submodule: whoever replaces this file chooses the repository.
        found.protect(".git")
        return
    _require_directory(".git", status)
    found.protect(".git", writable=True)
    with open_directory(".git", root) as git:
        _survey_hooks(git, found)
        config = _survey_file(git, ".git/config", found)
        _survey_worktree_config(git, config, found)
        _survey_common_directory(git, config, found)


def _survey_hooks(git: int, found: _Survey) -> None:
    status = _kind("hooks", git)
    if status is None:
        found.lacks(".git/hooks")
        return
    _require_directory(".git/hooks", status)
    found.protect(".git/hooks")
    with open_directory("hooks", git) as hooks:
        names = os.listdir(hooks)
        if len(names) > MAX_HOOKS:
            raise UnsafeLayout(".git/hooks", f"has more than {MAX_HOOKS} entries")
        for name in names:
            each = _kind(name, hooks)
            if each is not None and stat.S_ISREG(each.st_mode) and each.st_nlink > 1:
                found.lacks(f".git/hooks/{name}")


def _survey_worktree_config(git: int, config: bytes, found: _Survey) -> None:
    wanted = _WORKTREE_CONFIG.search(config) is not None
    if wanted or _kind("config.worktree", git) is not None:
        _survey_file(git, ".git/config.worktree", found)


def _survey_common_directory(git: int, config: bytes, found: _Survey) -> None:
    if _kind("commondir", git) is None and _OWN_WORK_TREE.search(config):
        # The file would make git ignore these settings: settle() closes .git instead.
        found.lacks(".git/commondir")
        return
    content = _survey_file(git, ".git/commondir", found)
    if content.strip() not in (b"", b"."):
        raise UnsafeLayout(".git/commondir", "points to another directory")


def _survey_settings(root: int, found: _Survey) -> None:
    status = _kind(".jido_code", root)
    if status is None:
        for name in ("", "/.gitignore", "/tmp", "/home", "/settings.json"):
            found.lacks(".jido_code" + name)
        return
    _require_directory(".jido_code", status)
    found.protect(".jido_code", writable=True)
    with open_directory(".jido_code", root) as own:
        if _kind(".gitignore", own) is None:
            found.lacks(".jido_code/.gitignore")
        for name in ("tmp", "home"):
            each = _kind(name, own)
            if each is None or not stat.S_ISDIR(each.st_mode):
                found.lacks(f".jido_code/{name}")
        _survey_file(own, ".jido_code/settings.json", found)


def _require_directory(path: str, status: os.stat_result) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise UnsafeLayout(path, "is a symbolic link; replace it by a directory")
    if not stat.S_ISDIR(status.st_mode):
        raise UnsafeLayout(path, "is not a directory")


def _survey_file(directory: int, path: str, found: _Survey) -> bytes:
    """Note a protected file and return its content; b'' when it is missing."""
    name = path.rsplit("/", 1)[-1]
    status = _kind(name, directory)
    if status is None:
        found.lacks(path)
        return b""
    if stat.S_ISLNK(status.st_mode):
        raise UnsafeLayout(path, "is a symbolic link; replace it by a file")
    if not stat.S_ISREG(status.st_mode):
        raise UnsafeLayout(path, "is not a regular file")
    if status.st_size > MAX_PROTECTED_BYTES:
        raise UnsafeLayout(path, f"is larger than {MAX_PROTECTED_BYTES} bytes")
    if status.st_nlink > 1:
        # Another name of the same file may lie where the sandbox writes.
        found.lacks(path)
    found.protect(path)
    return _read(name, directory)


def _read(name: str, directory: int) -> bytes:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    handle = os.open(name, flags, dir_fd=directory)
    with os.fdopen(handle, "rb") as file:
        return file.read(MAX_PROTECTED_BYTES + 1)


def _make(root: int, path: str) -> None:
    """Make one missing path beneath the project, or give a shared file an inode of its own."""
    parent, _, name = path.rpartition("/")
    if not parent:
        os.mkdir(name, 0o755, dir_fd=root)
        return
    with _descend(root, parent) as directory:
        status = _kind(name, directory)
        if status is not None and stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
            _write(name, directory, _read(name, directory), stat.S_IMODE(status.st_mode))
        elif path in (".jido_code/tmp", ".jido_code/home", ".git/hooks"):
            _make_directory(name, directory, 0o700 if parent == ".jido_code" else 0o755)
        elif path == ".git/commondir":
            _make_common_directory(directory)
        else:
            content = {".jido_code/.gitignore": b"*\n", ".jido_code/settings.json": b"{}\n"}
            _write(name, directory, content.get(path, b""), 0o644)


@contextmanager
def _descend(root: int, path: str) -> Iterator[int]:
    first, _, rest = path.partition("/")
    with open_directory(first, root) as directory:
        if not rest:
            yield directory
            return
        with _descend(directory, rest) as deeper:
            yield deeper


def _make_directory(name: str, directory: int, mode: int) -> None:
    status = _kind(name, directory)
    if status is not None and not stat.S_ISDIR(status.st_mode):
        os.unlink(name, dir_fd=directory)
    os.mkdir(name, mode, dir_fd=directory)


def _make_common_directory(git: int) -> None:
    config = _read("config", git) if _kind("config", git) is not None else b""
    if _OWN_WORK_TREE.search(config):
        raise PermissionError(errno.EPERM, "git would ignore its own work tree", ".git/commondir")
    _write("commondir", git, COMMON_DIRECTORY, 0o644)


def _write(name: str, directory: int, content: bytes, mode: int) -> None:
    """Put a file in place by rename, so that no other name shares its inode."""
    temporary = f".{name}.{secrets.token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(temporary, flags, mode, dir_fd=directory)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)
        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:  # raised again once cleaned up
        with suppress(OSError):
            os.unlink(temporary, dir_fd=directory)
        raise


def main(project: str) -> int:
    """Prepare a project from inside a preparation container; returns the exit code."""
    try:
        prepare(project)
    except UnsafeLayout as error:
        sys.stderr.write(f"{error}\n")
        return 5
    except OSError as error:
        if error.errno in _CANNOT_WRITE:
            return 4
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
