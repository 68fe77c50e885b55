"""Reading and writing files beneath the root.

Writes are atomic: a temporary file beside the target, then a rename. A file whose owner or
links a rename would change is written in place instead.
"""

from __future__ import annotations

import errno
import os
import stat
import threading

from sandbox_image.toolserver.digests import ABSENT, content_hash
from sandbox_image.toolserver.errors import ToolFailure
from sandbox_image.toolserver.roots import Place, Root
from sandbox_image.toolserver.seen import SEEN, SeenFiles
from sandbox_image.toolserver.wire import MAX_PAYLOAD_BYTES

MAX_READ_BYTES = MAX_PAYLOAD_BYTES
"""Bytes of a file that is read as text, or of one raw read."""

MAX_LINES = 2000
"""Lines of one read as text."""

MAX_LINE_CHARACTERS = 2000
"""Characters kept of one line."""

_SNIFF_BYTES = 8192
"""Bytes looked at to tell text from binary."""


def open_regular(place: Place, path: str) -> tuple[int, os.stat_result]:
    """Open a regular file for reading without waiting for anybody; raises `ToolFailure`."""
    handle = place.open(os.O_RDONLY | os.O_NONBLOCK)
    status = os.fstat(handle)
    if stat.S_ISREG(status.st_mode):
        return handle, status
    os.close(handle)
    if stat.S_ISDIR(status.st_mode):
        raise ToolFailure("is_directory", f"{path}: is a directory")
    raise ToolFailure("not_regular", f"{path}: not a regular file")


def read_handle(handle: int, length: int) -> bytes:
    """Read up to `length` bytes; shorter only at the end of the file."""
    data = os.read(handle, length)
    if not data or len(data) == length:
        return data
    parts = [data]
    left = length - len(data)
    while left and (data := os.read(handle, left)):
        parts.append(data)
        left -= len(data)
    return b"".join(parts)


def read_range(
    root: Root, path: str, start: int, length: int, seen: SeenFiles | None = None
) -> tuple[bytes, int]:
    """Read raw bytes; returns them and the file's size. A whole file is noted in `seen`."""
    with root.locate(path) as place:
        handle, status = open_regular(place, path)
        try:
            if start:
                os.lseek(handle, start, os.SEEK_SET)
            data = read_handle(handle, length)
        finally:
            os.close(handle)
        if seen is not None and start == 0 and len(data) < length:
            seen.note(place.path, data)
        return data, status.st_size


def read_whole(root: Root, path: str) -> bytes:
    """Read a whole file of at most `MAX_READ_BYTES`; raises `too_large`."""
    data, size = read_range(root, path, 0, MAX_READ_BYTES + 1)
    if len(data) > MAX_READ_BYTES:
        raise ToolFailure(
            "too_large", f"{path}: {size} bytes, more than {MAX_READ_BYTES}", {"size": size}
        )
    return data


def decode_text(data: bytes, path: str) -> str:
    """Decode UTF-8 for an edit; raises `binary` for what would not survive the round trip."""
    try:
        if b"\0" in data:
            raise ValueError
        return data.decode("utf-8")
    except ValueError:
        raise ToolFailure("binary", f"{path}: not UTF-8 text") from None


def read_lines(
    root: Root, path: str, first: int, count: int, width: int
) -> tuple[dict[str, object], bytes]:
    """Read `count` lines from the 1-based line `first`, each cut after `width` characters."""
    data = read_whole(root, path)
    if b"\0" in data[:_SNIFF_BYTES]:
        raise ToolFailure("binary", f"{path}: binary, {len(data)} bytes", {"size": len(data)})
    total = data.count(b"\n") + (not data.endswith(b"\n") if data else 0)
    start = _line_start(data, first)
    shown: list[str] = []
    cut = 0
    while start < len(data) and len(shown) < count:
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end
        line = data[start:end].decode("utf-8", "replace")
        if len(line) > width:
            line = f"{line[:width]}… [{len(line) - width} more characters]"
            cut += 1
        shown.append(line)
        start = end + 1
    result: dict[str, object] = {
        "size": len(data),
        "hash": content_hash(data),
        "total_lines": total,
        "first_line": first,
        "lines": len(shown),
        "cut_lines": cut,
        "more": start < len(data),
    }
    return result, "\n".join(shown).encode("utf-8", "replace")


def _line_start(data: bytes, line: int) -> int:
    """Offset of a 1-based line, or the end of the data."""
    start = 0
    for _ in range(line - 1):
        end = data.find(b"\n", start)
        if end < 0:
            return len(data)
        start = end + 1
    return start


def write_whole(
    root: Root,
    path: str,
    data: bytes,
    expected_hash: str | None = None,
    seen: SeenFiles | None = None,
) -> bool:
    """Write a file, creating parents; True when it did not exist before.

    `expected_hash` None writes whatever is there; otherwise `changed` is raised unless the
    present content has that hash (`ABSENT`: unless there is no file; `SEEN`: unless it is the
    one in `seen` or the new one, or there is no file). Guarded writes keep `seen` up to date.
    """
    if expected_hash is None:
        return _write(root, path, data, None, None)
    # One after the other: between a look and its rename nothing of ours may come.
    with _guarded:
        return _write(root, path, data, expected_hash, seen)


_guarded = threading.Lock()


def _write(root: Root, path: str, data: bytes, wanted: str | None, seen: SeenFiles | None) -> bool:
    with root.locate(path, create_parents=True) as place:
        try:
            status: os.stat_result | None = place.stat()
        except FileNotFoundError:
            status = None
        if status is not None:
            _refuse_irregular(status, path)
        known = None if seen is None else seen.hash_of(place.path)
        if wanted == SEEN:
            present = _present_hash(place, path, status)
            # Writing what is there already loses nothing.
            if status is not None and present != content_hash(data):
                _refuse_changed(path, present, known)
        elif wanted is not None:
            _refuse_changed(path, _present_hash(place, path, status), wanted)
        if status is None:
            _replace(place, data, 0o666, exact_mode=False)
        else:
            _check_writable(place)
            _write_over(place, data, status)
        if seen is not None and (wanted == SEEN or status is None or known == wanted):
            seen.note(place.path, data)
        return status is None


def _write_over(place: Place, data: bytes, status: os.stat_result) -> None:
    if not _may_replace(status):
        _overwrite(place, data)
        return
    try:
        _replace(place, data, stat.S_IMODE(status.st_mode), exact_mode=True)
    except PermissionError:
        # The directory may be closed to new names while the file itself is writable.
        _overwrite(place, data)


def _refuse_irregular(status: os.stat_result, path: str) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise ToolFailure("is_directory", f"{path}: is a directory")
    if not stat.S_ISREG(status.st_mode):
        raise ToolFailure("not_regular", f"{path}: not a regular file")


def _present_hash(place: Place, path: str, status: os.stat_result | None) -> str:
    if status is None:
        return ABSENT
    handle, _ = open_regular(place, path)
    try:
        return content_hash(read_handle(handle, MAX_READ_BYTES + 1))
    finally:
        os.close(handle)


def _refuse_changed(path: str, present: str, expected: str | None) -> None:
    if expected is None:
        raise ToolFailure("changed", f"{path}: exists and has not been read; read it first")
    if present != expected:
        raise ToolFailure("changed", f"{path}: changed since it was read; read it again")


def _check_writable(place: Place) -> None:
    """Raise unless the file itself may be written; a rename asks only its directory.

    A program being executed may be replaced although it cannot be opened for writing.
    """
    try:
        os.close(place.open(os.O_WRONLY | os.O_NONBLOCK))
    except OSError as error:
        if error.errno != errno.ETXTBSY:
            raise


def _may_replace(status: os.stat_result) -> bool:
    """Whether a new file in its place would keep the owner and break no hard link."""
    return status.st_nlink == 1 and status.st_uid == os.geteuid()


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def _replace(place: Place, data: bytes, mode: int, *, exact_mode: bool) -> None:
    directory = place.directory
    temporary = f".jido-{os.urandom(8).hex()}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(temporary, flags, mode & 0o777, dir_fd=directory)
    try:
        try:
            if exact_mode:
                os.fchmod(handle, mode)
            _write_all(handle, data)
        finally:
            os.close(handle)
        os.rename(temporary, place.name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:  # nothing half-written stays in the project
        os.unlink(temporary, dir_fd=directory)
        raise


def _overwrite(place: Place, data: bytes) -> None:
    handle = place.open(os.O_WRONLY | os.O_TRUNC | os.O_NONBLOCK)
    try:
        _write_all(handle, data)
    finally:
        os.close(handle)
