"""Old saved sessions go when the settings ask for it, and only those."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from orchestrator.archive.archive import Archive
from orchestrator.archive.document import Header
from orchestrator.domain.errors import InvalidSettings
from orchestrator.services.clean_up import CleanUp
from orchestrator.services.clock import now
from orchestrator.services.saving import Saving
from orchestrator.settings import Settings, load_settings
from orchestrator.store.facade import Store
from tests.integration.api.conftest import Opened
from tests.integration.api.test_resume import notices
from tests.integration.api.test_saved import saved, talk
from tests.unit.archive.conftest import contents_of, header_of


@pytest.fixture
def archive(settings: Settings) -> Archive:
    return Archive(settings.home)


def cleaning(store: Store, archive: Archive, *, days: int = 0, count: int = 0) -> CleanUp:
    return CleanUp(store, archive, Saving(store, archive), max_age_days=days, max_count=count)


async def _save(archive: Archive, name: str, days: float) -> Header:
    """Save a session last used so many days ago."""
    header = header_of(name).model_copy(update={"updated_at": now() - timedelta(days=days)})
    await archive.save(header, contents_of("hello"))
    return header


async def names(client: httpx.AsyncClient) -> list[str]:
    return [entry["name"] for entry in await saved(client) if entry["error"] is None]


async def _told(store: Store, session_id: str) -> list[str]:
    return [text for code, text in await notices(store, session_id) if code == "saved_deleted"]


async def test_by_default_nothing_is_ever_deleted(
    client: httpx.AsyncClient, store: Store, archive: Archive
) -> None:
    settings = load_settings()
    assert (settings.saved_max_age_days, settings.saved_max_count) == (0, 0)
    await _save(archive, "ancient", 10_000)
    await cleaning(store, archive).look()
    assert await names(client) == ["ancient"]


async def test_by_age_and_what_went_is_told(
    client: httpx.AsyncClient, opened: Opened, store: Store, archive: Archive
) -> None:
    for name, days in (("fresh", 1), ("almost", 29.9), ("old", 30.1), ("older", 400)):
        await _save(archive, name, days)
    session = await opened()
    cleaner = cleaning(store, archive, days=30)
    await cleaner.look()
    assert await names(client) == ["fresh", "almost"]
    told = await _told(store, session["id"])
    assert len(told) == 1
    assert "“older”, “old”" in told[0]
    assert "JIDO_SAVED_MAX_AGE_DAYS is 30" in told[0]
    await cleaner.look()
    assert await _told(store, session["id"]) == told


async def test_by_count_after_a_save_and_told_to_the_first_that_lives(
    client: httpx.AsyncClient, opened: Opened, store: Store, archive: Archive
) -> None:
    for number in range(3):
        await _save(archive, f"old {number}", 10 - number)
    cleaner = cleaning(store, archive, count=3)
    await cleaner.look()
    assert len(await names(client)) == 3
    await _save(archive, "new", 0)
    await cleaner.look()
    assert await names(client) == ["new", "old 2", "old 1"]
    session = await opened()
    await cleaner.look()
    (text,) = await _told(store, session["id"])
    assert "“old 0”" in text


async def test_neither_a_live_session_nor_a_file_that_cannot_be_read(
    client: httpx.AsyncClient, opened: Opened, store: Store, archive: Archive, base: Path
) -> None:
    session = await opened()
    await talk(client, store, session)
    await client.delete(f"/v1/sessions/{session['id']}")
    path = base / "home" / "sessions" / f"{session['id']}.json"
    assert (await client.post(f"/v1/saved/{session['id']}/resume")).status_code == 201
    bad = await _save(archive, "bad", 500)
    damaged = base / "home" / "sessions" / f"{bad.id}.json"
    damaged.write_bytes(damaged.read_bytes()[:-7])
    for number in range(3):
        await _save(archive, f"old {number}", 500)
    await cleaning(store, archive, days=1, count=1).look()
    assert path.exists()
    assert damaged.exists()
    assert await names(client) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("saved_max_age_days", -1), ("saved_max_count", 101), ("saved_max_count", -1)],
)
def test_settings_out_of_range_are_refused_by_name(name: str, value: int) -> None:
    with pytest.raises(InvalidSettings, match=name):
        load_settings(**{name: value})
