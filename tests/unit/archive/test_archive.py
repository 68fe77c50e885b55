"""Saving, loading, listing and deleting, and what a bad file does to them."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import time
from datetime import timedelta
from pathlib import Path

import pytest

from orchestrator.archive import document, files
from orchestrator.archive.archive import Archive
from orchestrator.domain.errors import (
    ArchiveUnavailable,
    JidoError,
    SavedLimitReached,
    SavedSessionNotFound,
    SavedSessionTooLarge,
)
from orchestrator.domain.ids import new_id
from orchestrator.domain.limits import MAX_SAVED_BYTES
from tests.unit.archive.conftest import contents_of, header_of


async def test_what_is_saved_comes_back_equal(archive: Archive) -> None:
    header, contents = header_of("naïve ✓"), contents_of("hello", "world", "línea\u2028zwei")
    assert await archive.save(header, contents)
    assert await archive.load(header.id) == (header, contents)


async def test_loading_leaves_the_file(archive: Archive) -> None:
    header = header_of()
    await archive.save(header, contents_of("hello"))
    await archive.load(header.id)
    assert (await archive.load(header.id))[0].name == "project"


async def test_files_are_for_the_owner_only(archive: Archive, directory: Path) -> None:
    directory.mkdir(parents=True, mode=0o755)
    directory.chmod(0o755)
    header = header_of()
    await archive.save(header, contents_of("hello"))
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert stat.S_IMODE((directory / f"{header.id}.json").stat().st_mode) == 0o600


async def test_a_session_in_which_nothing_was_said_is_not_saved(
    archive: Archive, directory: Path
) -> None:
    assert not await archive.save(header_of(), contents_of())
    assert not directory.exists()
    assert await archive.listing() == []


async def test_listing_is_newest_first_and_shows_headers(archive: Archive) -> None:
    for name, minutes in (("old", 0), ("new", 9), ("middle", 5)):
        await archive.save(header_of(name, minutes=minutes), contents_of("hello", "there"))
    listed = await archive.listing()
    assert [entry.name for entry in listed] == ["new", "middle", "old"]
    assert listed[0].error is None
    assert (listed[0].messages, listed[0].turns, listed[0].usage.cost_usd) == (2, 1, 0.5)
    assert listed[0].size_bytes > 200


async def test_listing_does_not_read_bodies(archive: Archive, directory: Path) -> None:
    header = header_of()
    await archive.save(header, contents_of("x" * 200_000))
    path = directory / f"{header.id}.json"
    data = bytearray(path.read_bytes())
    data[150_000] ^= 1
    path.write_bytes(data)
    assert [entry.error for entry in await archive.listing()] == [None]
    with pytest.raises(JidoError) as caught:
        await archive.load(header.id)
    assert caught.value.code == "saved_session_damaged"


async def test_a_file_under_another_identifier_is_refused(
    archive: Archive, directory: Path
) -> None:
    header, other = header_of(), new_id()
    await archive.save(header, contents_of("hello"))
    (directory / f"{header.id}.json").rename(directory / f"{other}.json")
    assert [entry.error for entry in await archive.listing()] == ["saved_session_damaged"]
    with pytest.raises(JidoError, match="another session"):
        await archive.load(other)


async def test_other_files_in_the_directory_are_left_alone(
    archive: Archive, directory: Path
) -> None:
    await archive.save(header_of(), contents_of("hello"))
    (directory / "notes.json").write_text("mine")
    (directory / "../outside.json").write_text("mine")
    assert len(await archive.listing()) == 1
    for hostile in ("../outside", "notes", "", "a" * 5000, "\0"):
        with pytest.raises(SavedSessionNotFound):
            await archive.load(hostile)
        with pytest.raises(SavedSessionNotFound):
            await archive.delete(hostile)


async def test_deleting_twice_is_not_found(archive: Archive) -> None:
    header = header_of()
    await archive.save(header, contents_of("hello"))
    await archive.delete(header.id)
    with pytest.raises(SavedSessionNotFound):
        await archive.delete(header.id)


async def test_an_older_save_never_replaces_a_newer_one(archive: Archive) -> None:
    session_id = new_id()
    newer = header_of("newer", session_id=session_id, minutes=1)
    assert await archive.save(newer, contents_of("a", "b"))
    assert not await archive.save(header_of("older", session_id=session_id), contents_of("a"))
    assert (await archive.load(session_id))[0].name == "newer"


async def test_a_clock_that_was_set_back_costs_nothing(archive: Archive) -> None:
    session_id = new_id()
    ahead = header_of("ahead", session_id=session_id, minutes=600)
    assert await archive.save(ahead, contents_of("a", "b"))
    longer = header_of("longer", session_id=session_id).model_copy(update={"messages": 3})
    assert await archive.save(longer, contents_of("a", "b", "c"))
    assert not await archive.save(ahead, contents_of("a", "b"))
    closed = longer.model_copy(
        update={
            "name": "closed",
            "updated_at": longer.updated_at - timedelta(hours=5),
            "closed_at": longer.updated_at - timedelta(hours=5),
        }
    )
    assert await archive.save(closed, contents_of("a", "b", "c"))
    assert (await archive.load(session_id))[0].name == "closed"


async def test_an_autosave_is_discarded_unless_somebody_kept_it(archive: Archive) -> None:
    autosaved, kept = header_of(kept=False), header_of(kept=True)
    for header in (autosaved, kept):
        await archive.save(header, contents_of("hello"))
    later = header_of(session_id=kept.id, minutes=1, kept=False)
    await archive.save(later, contents_of("hello", "again"))
    for session_id in (autosaved.id, kept.id, new_id()):
        await archive.discard(session_id)
    assert [entry.id for entry in await archive.listing()] == [kept.id]


async def test_a_full_archive_refuses_new_sessions_and_takes_present_ones(home: Path) -> None:
    archive = Archive(home, maximum=2)
    present = [header_of(), header_of()]
    for header in present:
        await archive.save(header, contents_of("hello"))
    with pytest.raises(SavedLimitReached):
        await archive.save(header_of(), contents_of("hello"))
    with pytest.raises(SavedLimitReached):
        await archive.ensure_room(new_id())
    await archive.ensure_room(present[0].id)
    assert await archive.save(present[0], contents_of("hello", "again"))
    assert await archive.count() == 2


async def test_a_session_beyond_50_mib_is_refused_and_the_old_one_stays(
    archive: Archive, directory: Path
) -> None:
    header = header_of()
    await archive.save(header, contents_of("small"))
    with pytest.raises(SavedSessionTooLarge):
        await archive.save(header, contents_of("x" * MAX_SAVED_BYTES))
    assert (await archive.load(header.id))[1].prompt_history == ["small"]
    assert [path.name for path in directory.glob(".saving-*")] == []


async def test_saves_at_once_leave_one_whole_file(archive: Archive, directory: Path) -> None:
    session_id = new_id()
    await asyncio.gather(
        *(
            archive.save(
                header_of(str(number), session_id=session_id, minutes=number),
                contents_of("x" * 10_000, str(number)),
            )
            for number in range(20)
        )
    )
    assert (await archive.load(session_id))[0].name == "19"
    assert sorted(path.name for path in directory.iterdir()) == [".lock", f"{session_id}.json"]


async def test_an_unusable_directory_is_said_so(home: Path) -> None:
    home.mkdir()
    (home / "sessions").write_text("a file")
    with pytest.raises(ArchiveUnavailable, match="sessions"):
        await Archive(home).save(header_of(), contents_of("hello"))


def test_temporary_files_of_dead_saves_are_swept(directory: Path) -> None:
    directory.mkdir(parents=True)
    stale, fresh = directory / ".saving-dead", directory / ".saving-busy"
    for path in (stale, fresh):
        path.write_text("half")
    long_ago = time.time() - 7200
    os.utime(stale, (long_ago, long_ago))
    files.sweep(directory)
    assert [path.name for path in directory.iterdir()] == [".saving-busy"]


def test_the_file_is_one_json_document() -> None:
    header, contents = header_of(), contents_of("hello")
    parsed = json.loads(document.encode(header, contents))
    assert parsed["format"] == "jido-session"
    assert parsed["header"]["name"] == "project"
    assert len(parsed["body"]["entries"]) == 1
