"""Names rather than contents: status, listing, directories, removal, renaming, real paths."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from sandbox_image.toolserver.errors import ToolFailure, from_os_error
from sandbox_image.toolserver.roots import Place, Root

MAX_ENTRIES = 20_000
"""Entries of one listing; the rest is left out and the reply says so."""

MAX_DEPTH = 200
"""Nested directories that one removal descends into; each holds an open handle."""


def entry_type(mode: int) -> str:
    """Name a file type: file, directory, link or other."""
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "directory"
    return "link" if stat.S_ISLNK(mode) else "other"


def describe(root: Root, path: str, follow: bool) -> dict[str, object]:
    """Status of one path; raises `not_found`."""
    with root.locate(path, follow=follow) as place:
        status = place.stat()
        found = place.path
    kind = entry_type(status.st_mode)
    return {
        "path": found,
        "type": kind,
        "size": status.st_size if kind == "file" else None,
        "mode": stat.S_IMODE(status.st_mode),
        "mtime_ns": status.st_mtime_ns,
    }


def exists(root: Root, path: str) -> bool:
    """Whether a path leads to something beneath the root."""
    try:
        with root.locate(path) as place:
            place.stat()
    except FileNotFoundError:
        return False
    except ToolFailure as failure:
        if failure.code in ("not_found", "not_directory", "link_loop"):
            return False
        raise
    return True


def listing(root: Root, path: str) -> tuple[list[dict[str, object]], bool]:
    """Entries of a directory by name, and whether some were left out.

    `is_dir` and `size` are those of a link's target, as when the entry is opened: unknown for
    a link that leads nowhere or outside.
    """
    with root.locate(path) as place:
        handle = place.open(os.O_RDONLY | os.O_DIRECTORY)
        directory = place.path
    found: list[dict[str, object]] = []
    try:
        with os.scandir(handle) as entries:
            for entry in entries:
                if len(found) >= MAX_ENTRIES:
                    return found, True
                found.append(_describe_entry(root, directory, entry))
    finally:
        os.close(handle)
    found.sort(key=lambda item: str(item["name"]))
    return found, False


def _describe_entry(root: Root, directory: str, entry: os.DirEntry[str]) -> dict[str, object]:
    linked = entry.is_symlink()
    status: os.stat_result | None = None
    # A directory whose path has become too long to name still lists.
    with suppress(OSError, ToolFailure):
        status = _target(root, f"{directory}/{entry.name}") if linked else entry.stat()
    mode = 0 if status is None else status.st_mode
    regular = status is not None and stat.S_ISREG(mode)
    return {
        "name": entry.name,
        "is_dir": stat.S_ISDIR(mode),
        "is_link": linked,
        "size": status.st_size if status is not None and regular else None,
    }


def _target(root: Root, path: str) -> os.stat_result:
    with root.locate(path) as place:
        return place.stat()


def make_directory(root: Root, path: str) -> bool:
    """Create a directory and its parents; False when it was there; raises `exists` over a file."""
    with root.locate(path, create_parents=True) as place:
        try:
            os.mkdir(place.name, dir_fd=place.directory)
            return True
        except FileExistsError:
            if stat.S_ISDIR(place.stat().st_mode):
                return False
            raise


def remove(root: Root, path: str) -> None:
    """Remove a file, a link itself, or a directory with everything in it."""
    plain = os.path.normpath(path).rstrip("/") + "/"
    if path.startswith("/") and (root.path + "/").startswith(plain):
        raise _protected(path)
    with root.locate(path, follow=False) as place:
        if place.name == ".":
            raise _protected(path)
        if stat.S_ISDIR(place.stat().st_mode):
            _remove_tree(place.directory, place.name, 0)
        else:
            os.unlink(place.name, dir_fd=place.directory)


def _protected(path: str) -> ToolFailure:
    return ToolFailure("invalid_argument", f"{path}: the project directory cannot be removed")


def _remove_tree(parent: int, name: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ToolFailure("limit_resources", f"{name}: nested deeper than {MAX_DEPTH} directories")
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(name, flags, dir_fd=parent)
    try:
        with os.scandir(handle) as entries:
            # Listed before anything is removed: some file systems skip names otherwise.
            found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
        for child, is_directory in found:
            if is_directory:
                _remove_tree(handle, child, depth + 1)
            else:
                os.unlink(child, dir_fd=handle)
    finally:
        os.close(handle)
    os.rmdir(name, dir_fd=parent)


def rename(root: Root, source: str, target: str, overwrite: bool) -> None:
    """Move a name; a link is moved itself. Raises `exists` unless `overwrite`."""
    with root.locate(source, follow=False) as old:
        _refuse_nameless(old)
        # Looked at first: a source that is missing must not leave new directories behind.
        old.stat()
        with root.locate(target, follow=False, create_parents=True) as new:
            _refuse_nameless(new)
            if not overwrite and _present(new):
                raise ToolFailure("exists", f"{target}: exists")
            _rename(old, new, f"{source} to {target}")


def _refuse_nameless(place: Place) -> None:
    if place.name == ".":
        raise ToolFailure("invalid_argument", "a path must end in a name")


def _rename(old: Place, new: Place, subject: str) -> None:
    try:
        os.rename(old.name, new.name, src_dir_fd=old.directory, dst_dir_fd=new.directory)
    except OSError as error:
        raise from_os_error(error, subject) from None


def _present(place: Place) -> bool:
    try:
        place.stat()
    except FileNotFoundError:
        return False
    return True


def real_path(root: Root, path: str) -> str:
    """Where a path leads by this sandbox's own file system, inside the project or not.

    Only a name is returned, never content; callers use it to refuse what leads outside.
    """
    if "\0" in path:
        raise ToolFailure("invalid_argument", "a path cannot contain NUL")
    return os.path.realpath(os.path.join(root.path, path))
