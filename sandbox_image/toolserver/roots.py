"""Resolution of paths beneath the project root, one component at a time from a handle.

Every step opens exactly one name relative to an open directory and never follows a link in
the kernel; links are read and resolved here, so that a name swapped between two steps can
change what is found but never lead outside the root. No path is judged as text and opened
later.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from sandbox_image.toolserver.errors import ToolFailure, from_os_error

MAX_LINKS = 40
"""Symbolic links followed in one resolution, as in the kernel."""

MAX_PATH_BYTES = 4096
"""Bytes of a path as given."""

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Place:
    """One resolved name: an open parent directory and a last component that is no link to follow.

    `name` is `.` when the path names a directory that the resolution itself arrived in.
    """

    __slots__ = ("_handles", "_names", "_root", "name")

    def __init__(self, root: str, handles: list[int], names: list[str], name: str) -> None:
        """Take ownership of all `handles` but the first, which is the root's."""
        self._root = root
        self._handles = handles
        self._names = names
        self.name = name

    def __enter__(self) -> Place:
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles[1:]:
            os.close(handle)

    @property
    def directory(self) -> int:
        """The open parent directory; usable only for `dir_fd`."""
        return self._handles[-1]

    @property
    def path(self) -> str:
        """The absolute path found, without links."""
        names = self._names if self.name == "." else [*self._names, self.name]
        return "/".join([self._root, *names]) if names else self._root

    @property
    def is_root(self) -> bool:
        """Whether this is the project root itself."""
        return self.name == "." and not self._names

    def stat(self) -> os.stat_result:
        """Status of the name itself; raises `FileNotFoundError`."""
        return os.stat(self.name, dir_fd=self.directory, follow_symlinks=False)

    def open(self, flags: int, mode: int = 0o666) -> int:
        """Open the name itself without following a link."""
        flags |= os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY
        return os.open(self.name, flags, mode, dir_fd=self.directory)


class Directory:
    """An open directory to start a program in; the root itself needs no handle of its own."""

    __slots__ = ("handle", "path")

    def __init__(self, path: str, handle: int = -1) -> None:
        """Own `handle`; -1 stands for the server's own working directory, which is the root."""
        self.path = path
        self.handle = handle

    def __enter__(self) -> Directory:
        return self

    def __exit__(self, *_: object) -> None:
        if self.handle >= 0:
            os.close(self.handle)


class Root:
    """The project directory as an open handle."""

    def __init__(self, path: str) -> None:
        """Open `path`, which must be an existing absolute directory; links in it are resolved."""
        self.path = os.path.realpath(path)
        self._prefix = self.path.rstrip("/") + "/"
        self.handle = os.open(self.path, _DIRECTORY)

    def contains_text(self, path: str) -> bool:
        """Whether an absolute path is spelt beneath the root; no promise about where it leads."""
        return path == self.path or path.startswith(self._prefix)

    def components(self, path: str) -> list[str]:
        """Split a path as given into names below the root; raises for what cannot be beneath it."""
        if "\0" in path:
            raise ToolFailure("invalid_argument", "a path cannot contain NUL")
        try:
            length = len(os.fsencode(path))
        except UnicodeEncodeError:
            raise ToolFailure("invalid_argument", "the path cannot be encoded") from None
        if length > MAX_PATH_BYTES:
            raise ToolFailure("invalid_argument", f"the path exceeds {MAX_PATH_BYTES} bytes")
        if path.startswith("/"):
            if not self.contains_text(path):
                raise _outside(path)
            path = path[len(self.path) :]
        return [name for name in path.split("/") if name not in ("", ".")]

    def directory(self, path: str | None) -> Directory:
        """Open a directory beneath the root; raises for anything else. None is the root."""
        if path is None or path == self.path:
            return Directory(self.path)
        with self.locate(path) as place:
            handle = place.open(os.O_PATH | os.O_DIRECTORY)
            if not place.is_root:
                return Directory(place.path, handle)
        os.close(handle)
        return Directory(self.path)

    def locate(self, path: str, *, follow: bool = True, create_parents: bool = False) -> Place:
        """Resolve `path`; with `follow`, links in the last component too.

        The last component may be missing. Raises `ToolFailure`.
        """
        walk = _Walk(self, path, create_parents)
        try:
            return walk.run(follow)
        except OSError as error:
            walk.close()
            raise from_os_error(error, path) from None
        except BaseException:  # a walk that ends early keeps no directory open
            walk.close()
            raise


class _Walk:
    """The state of one resolution."""

    def __init__(self, root: Root, path: str, create_parents: bool) -> None:
        self._root = root
        self._path = path
        self._create = create_parents
        self._pending = root.components(path)[::-1]
        self._handles = [root.handle]
        self._names: list[str] = []
        self._links = 0

    def close(self) -> None:
        while len(self._handles) > 1:
            os.close(self._handles.pop())

    def run(self, follow: bool) -> Place:
        while self._pending:
            name = self._pending.pop()
            if name == "..":
                self._climb()
            elif not self._pending:
                if not follow or not self._follow(name):
                    return Place(self._root.path, self._handles, self._names, name)
            else:
                self._descend(name)
        return Place(self._root.path, self._handles, self._names, ".")

    def _climb(self) -> None:
        if not self._names:
            raise _outside(self._path)
        self._names.pop()
        os.close(self._handles.pop())

    def _descend(self, name: str) -> None:
        parent = self._handles[-1]
        try:
            handle = os.open(name, _DIRECTORY, dir_fd=parent)
        except FileNotFoundError:
            if not self._create:
                raise
            with suppress(FileExistsError):
                os.mkdir(name, dir_fd=parent)
            handle = os.open(name, _DIRECTORY, dir_fd=parent)
        except OSError as error:
            if error.errno not in (errno.ENOTDIR, errno.ELOOP) or not self._follow(name):
                raise
            return
        self._handles.append(handle)
        self._names.append(name)

    def _follow(self, name: str) -> bool:
        """Put the target of a link in place of `name`; False when it is no link."""
        try:
            target = os.readlink(name, dir_fd=self._handles[-1])
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOENT):
                return False
            raise
        self._links += 1
        if self._links > MAX_LINKS:
            raise ToolFailure("link_loop", f"{self._path}: too many symbolic links")
        names = self._root.components(target)
        if target.startswith("/"):
            self.close()
            self._names.clear()
        self._pending.extend(reversed(names))
        return True


def _outside(path: str) -> ToolFailure:
    return ToolFailure("outside_project", f"{path}: outside the project directory")
