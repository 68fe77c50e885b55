"""A model of a project's tree: what a path must lead to, computed without a file system.

Knows directories, files and symbolic links, and that nothing beyond the project may be
reached by any of them.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

MAX_LINKS = 40
MAX_NAME_BYTES = 255
MAX_PATH_BYTES = 4096


@dataclass(eq=False)
class File:
    """A regular file."""

    content: bytes


@dataclass(eq=False)
class Link:
    """A symbolic link."""

    target: str


@dataclass(eq=False)
class Folder:
    """A directory."""

    entries: dict[str, Node] = field(default_factory=dict)


Node = File | Link | Folder


class Refused(Exception):
    """The path must be refused, with this code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class Spot:
    """Where a path leads: the directories on the way and the last name, `.` for themselves."""

    trail: tuple[tuple[str, Folder], ...]
    top: Folder
    name: str

    @property
    def folder(self) -> Folder:
        """The directory that holds the name."""
        return self.trail[-1][1] if self.trail else self.top

    @property
    def node(self) -> Node | None:
        """What is there; None for nothing."""
        return self.folder if self.name == "." else self.folder.entries.get(self.name)

    @property
    def relative(self) -> str:
        """The path below the project without links; empty for the project."""
        names = [name for name, _ in self.trail]
        return "/".join(names if self.name == "." else [*names, self.name])


class Project:
    """The tree and how paths are resolved in it."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.top = Folder()

    def names(self, path: str) -> list[str]:
        """The steps of a path below the project."""
        try:
            encoded = os.fsencode(path)
        except UnicodeEncodeError:
            raise Refused("invalid_argument") from None
        if b"\0" in encoded or len(encoded) > MAX_PATH_BYTES:
            raise Refused("invalid_argument")
        if path.startswith("/"):
            if path != self.root and not path.startswith(f"{self.root}/"):
                raise Refused("outside_project")
            path = path[len(self.root) :]
        return [name for name in path.split("/") if name not in ("", ".")]

    def find(self, path: str, *, follow: bool = True, create: bool = False) -> Spot:
        """Resolve a path; `create` makes directories that are missing on the way."""
        steps, links = self.names(path), 0
        trail: list[tuple[str, Folder]] = []
        while steps:
            name = steps.pop(0)
            folder = trail[-1][1] if trail else self.top
            if name == "..":
                if not trail:
                    raise Refused("outside_project")
                trail.pop()
                continue
            if len(os.fsencode(name)) > MAX_NAME_BYTES:
                raise Refused("invalid_argument")
            node = folder.entries.get(name)
            last = not steps
            if isinstance(node, Link) and (follow or not last):
                links += 1
                if links > MAX_LINKS:
                    raise Refused("link_loop")
                if node.target.startswith("/"):
                    steps = self.names(node.target) + steps
                    trail = []
                else:
                    steps = self.names(node.target) + steps
            elif last:
                return Spot(tuple(trail), self.top, name)
            else:
                trail.append((name, _enter(folder, name, node, create)))
        return Spot(tuple(trail), self.top, ".")

    def files(self, folder: Folder, prefix: str) -> Iterator[tuple[str, File]]:
        """Regular files beneath a directory, links not followed."""
        for name, node in folder.entries.items():
            if isinstance(node, File):
                yield prefix + name, node
            elif isinstance(node, Folder):
                yield from self.files(node, f"{prefix}{name}/")

    def build(self, where: Path, folder: Folder | None = None) -> None:
        """Make the tree on disk."""
        for name, node in (folder or self.top).entries.items():
            place = where / name
            if isinstance(node, File):
                place.write_bytes(node.content)
            elif isinstance(node, Link):
                place.symlink_to(node.target)
            else:
                place.mkdir()
                self.build(place, node)


def _enter(folder: Folder, name: str, node: Node | None, create: bool) -> Folder:
    if node is None:
        if not create:
            raise Refused("not_found")
        node = folder.entries[name] = Folder()
    if not isinstance(node, Folder):
        raise Refused("not_directory")
    return node


def picture(node: Node) -> object:
    """A tree as plain values that can be compared."""
    if isinstance(node, File):
        return node.content
    if isinstance(node, Link):
        return ("link", node.target)
    return {name: picture(child) for name, child in node.entries.items()}


def photograph(where: Path, left_out: str = "") -> object:
    """The tree on disk as `picture` has it; `left_out` is a name at the top."""
    if where.is_symlink():
        return ("link", os.readlink(where))
    if where.is_dir():
        names = [name for name in os.listdir(where) if name != left_out]
        return {name: photograph(where / name) for name in names}
    try:
        return where.read_bytes()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
