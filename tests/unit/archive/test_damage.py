"""What a bad file or a full disk does to saved sessions: never more than to itself."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.archive import document, files
from orchestrator.archive.archive import Archive
from orchestrator.archive.errors import SavedSessionTruncated
from orchestrator.domain.errors import ArchiveUnavailable, JidoError, NoSpace
from orchestrator.domain.limits import MAX_SAVED_BYTES
from tests.support.requirements import require
from tests.support.small_disk import SmallDisk, small_disk
from tests.unit.archive import rich
from tests.unit.archive.conftest import contents_of, header_of


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _other_header(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"bad"', b'"BAD"', 1))


def _future(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"version":2', b'"version":9', 1))


def _huge(path: Path) -> None:
    os.truncate(path, MAX_SAVED_BYTES + 1)


def _foreign(path: Path) -> None:
    require(os.geteuid() == 0, "Only root can give a file away.")
    os.chown(path, 12345, 12345)


def _link(path: Path) -> None:
    real = path.with_name("elsewhere")
    path.rename(real)
    path.symlink_to(real)


def _second_name(path: Path) -> None:
    path.with_name("second-name").hardlink_to(path)


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "something").write_text("within")


def _socket(path: Path) -> None:
    path.unlink()
    os.mknod(path, stat.S_IFSOCK | 0o600)


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _deep(path: Path) -> None:
    path.write_bytes(b"[" * 50_000)


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (_cut, "saved_session_truncated"),
        (_empty, "saved_session_truncated"),
        (_other_header, "saved_session_damaged"),
        (_link, "saved_session_symlink"),
        (_second_name, "saved_session_hard_link"),
        (_directory, "saved_session_directory"),
        (_pipe, "saved_session_special"),
        (_socket, "saved_session_special"),
        (_deep, "saved_session_damaged"),
        (_future, "saved_session_version"),
        (_huge, "saved_session_too_large"),
        (_foreign, "saved_session_owner"),
    ],
)
async def test_a_bad_file_has_its_code_is_kept_and_hides_no_other(
    archive: Archive, directory: Path, spoil: object, code: str
) -> None:
    bad, good = header_of("bad"), header_of("good", minutes=-500_000)
    for header in (bad, good):
        await archive.save(header, contents_of("hello"))
    path = directory / f"{bad.id}.json"
    assert callable(spoil)
    spoil(path)

    listed = {entry.id: entry.error for entry in await archive.listing()}
    assert listed == {bad.id: code, good.id: None}
    with pytest.raises(JidoError) as caught:
        await archive.load(bad.id)
    assert caught.value.code == code
    assert "\n" not in caught.value.detail
    assert os.path.lexists(path)
    assert (await archive.load(good.id))[0].name == "good"

    await archive.delete(bad.id)
    assert [entry.id for entry in await archive.listing()] == [good.id]


def _small() -> bytes:
    return document.encode(header_of(), contents_of("hello", "wörld"))


def test_a_change_of_any_byte_is_seen() -> None:
    data = _small()
    assert document.decode(data)
    for place in range(len(data)):
        for change in (0x01, 0x20, 0x80):
            spoilt = bytearray(data)
            spoilt[place] ^= change
            with pytest.raises(JidoError) as caught:
                document.decode(bytes(spoilt))
            assert caught.value.code in ("saved_session_damaged", "saved_session_version"), place


def test_a_cut_at_any_length_is_seen_as_one() -> None:
    data = _small()
    for length in range(len(data)):
        with pytest.raises(SavedSessionTruncated):
            document.decode(data[:length])


def test_what_follows_the_end_is_damage() -> None:
    for more in (b"\n", b"{}", b"\0" * 100):
        with pytest.raises(JidoError) as caught:
            document.decode(_small() + more)
        assert caught.value.code == "saved_session_damaged"


@pytest.mark.parametrize("length", [0, 1, 40, 300, 5000, 70_000, 150_000])
async def test_a_cut_file_is_listed_as_one(archive: Archive, directory: Path, length: int) -> None:
    header = header_of()
    await archive.save(header, contents_of("x" * 200_000))
    os.truncate(directory / f"{header.id}.json", length)
    assert [entry.error for entry in await archive.listing()] == ["saved_session_truncated"]


def test_half_of_a_surrogate_pair_costs_only_itself() -> None:
    contents = rich.contents()
    entry = contents.entries[1].model_copy(update={"model": {"kind": "request", "x": "a\ud800b"}})
    _, kept = document.decode(
        document.encode(rich.header(), contents.model_copy(update={"entries": [entry]}))
    )
    assert kept.entries[0].model == {"kind": "request", "x": "a?b"}
    assert kept.todos == contents.todos


@pytest.fixture
def disk(home: Path) -> Iterator[SmallDisk]:
    """A small disk that holds the saved sessions alone."""
    with small_disk(home / "sessions") as mounted:
        yield mounted


async def test_a_full_disk_keeps_what_was_saved_and_later_saves_succeed(
    archive: Archive, disk: SmallDisk
) -> None:
    header = header_of()
    await archive.save(header, contents_of("before"))
    disk.fill()
    longer = contents_of("before", "x" * 20_000)
    for attempt in (header, header_of("another")):
        with pytest.raises(NoSpace, match=r"The disk is full.*free some space"):
            await archive.save(attempt, longer)
    assert (await archive.load(header.id))[1].prompt_history == ["before"]
    assert [entry.error for entry in await archive.listing()] == [None]
    assert list(disk.path.glob(".saving-*")) == []
    await archive.delete(header.id)
    assert await archive.listing() == []
    disk.empty()
    assert await archive.save(header, longer)
    assert (await archive.load(header.id))[1] == longer


async def test_a_read_only_disk_is_said_so(archive: Archive, disk: SmallDisk) -> None:
    header = header_of()
    await archive.save(header, contents_of("before"))
    disk.remount("ro")
    with pytest.raises(ArchiveUnavailable, match="read-only"):
        await archive.save(header, contents_of("before", "after"))
    with pytest.raises(ArchiveUnavailable, match="read-only"):
        await archive.delete(header.id)
    assert (await archive.load(header.id))[1].prompt_history == ["before"]
    disk.remount("rw")
    assert await archive.save(header, contents_of("before", "after"))


@pytest.mark.parametrize(
    ("number", "kind", "word"),
    [
        (errno.ENOSPC, NoSpace, "full"),
        (errno.EDQUOT, NoSpace, "quota"),
        (errno.EFBIG, NoSpace, "exceed"),
        (errno.EROFS, ArchiveUnavailable, "read-only"),
        (errno.EIO, ArchiveUnavailable, "disk"),
        (errno.EACCES, ArchiveUnavailable, "writable"),
    ],
)
def test_the_systems_errors_say_what_to_do(
    directory: Path, number: int, kind: type[JidoError], word: str
) -> None:
    with pytest.raises(kind, match=word), files.translated(directory):
        raise OSError(number, os.strerror(number))
