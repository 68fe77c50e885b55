"""A full disk loses neither what was saved nor the session that lives."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from orchestrator.archive.archive import Archive
from orchestrator.domain.history import HistoryEntry
from orchestrator.domain.ids import new_id
from orchestrator.domain.message import Message, TextPart
from orchestrator.services.clock import now
from orchestrator.services.saving import Saving
from orchestrator.settings import Settings
from orchestrator.store.facade import Store
from tests.integration.api.answers import assert_refused
from tests.integration.api.conftest import Opened
from tests.integration.api.test_resume import notices
from tests.integration.api.test_saved import WORKER, talk
from tests.support.small_disk import SmallDisk, small_disk


@pytest.fixture
def disk(settings: Settings) -> Iterator[SmallDisk]:
    with small_disk(settings.home / "sessions") as mounted:
        yield mounted


@pytest.fixture
def saving(store: Store, settings: Settings) -> Saving:
    """What the worker's caretaker keeps, without its patience."""
    return Saving(store, Archive(settings.home), retry_s=0.0)


async def _say_much(store: Store, session_id: str) -> None:
    message = Message(
        id=new_id(),
        turn_id=new_id(),
        role="assistant",
        time=now(),
        parts=[TextPart(text="much " * 4000)],
    )
    await store.history.append(session_id, [HistoryEntry(message=message)], [])


async def test_a_full_disk_is_told_and_the_session_is_saved_once_there_is_space(
    client: httpx.AsyncClient,
    opened: Opened,
    store: Store,
    disk: SmallDisk,
    saving: Saving,
) -> None:
    session = await opened()
    session_id, url = session["id"], f"/v1/sessions/{session['id']}"
    path = disk.path / f"{session_id}.json"
    await talk(client, store, session)
    assert await saving.autosave(session_id)
    before = path.read_bytes()

    disk.fill()
    await _say_much(store, session_id)
    await talk(client, store, session)
    assert not await saving.autosave(session_id)
    told = dict(await notices(store, session_id))
    assert told["no_space"].startswith("Not saved: The disk is full")
    assert "free some space" in told["no_space"]

    problem = assert_refused(await client.delete(url), 507, "no_space")
    assert "free some space" in problem["detail"]
    assert (await client.get(url)).json()["status"] == "ready"
    assert len((await client.get(f"{url}/messages")).json()["items"]) == 5
    await saving.catch_up()
    assert path.read_bytes() == before
    assert sorted(each.name for each in disk.path.iterdir()) == [
        ".lock",
        f"{session_id}.json",
        "filler",
    ]

    disk.empty()
    await saving.catch_up()
    assert (await Archive(disk.path.parent).load(session_id))[0].messages == 5
    assert ("saved_again", "The session is saved again.") in await notices(store, session_id)
    await saving.catch_up()
    assert (await client.delete(url)).status_code == 204


async def test_a_turn_under_way_is_not_ended_for_a_save_that_cannot_be(
    client: httpx.AsyncClient, opened: Opened, store: Store, disk: SmallDisk
) -> None:
    session = await opened()
    url = f"/v1/sessions/{session['id']}"
    await _say_much(store, session["id"])
    turn = (await client.post(f"{url}/turns", json={"prompt": "long work"})).json()
    await store.turns.begin(session["id"], turn["id"], WORKER)
    disk.fill()
    assert_refused(await client.delete(url), 507, "no_space")
    assert (await client.get(f"{url}/turns/{turn['id']}")).json()["status"] == "working"
    assert not await store.turns.is_cancel_requested(session["id"], turn["id"])
    assert (await client.get(url)).json()["status"] == "ready"


async def test_what_was_missed_is_saved_later_and_nothing_else(
    client: httpx.AsyncClient, opened: Opened, store: Store, settings: Settings, saving: Saving
) -> None:
    """As after a worker that was killed between the end of a turn and its save."""
    empty = await opened("empty")
    session = await opened("alpha")
    await talk(client, store, session)
    archive = Archive(settings.home)
    await saving.catch_up()
    assert await archive.exists(session["id"])
    assert not await archive.exists(empty["id"])
    changed_at = await archive.changed_at()
    await saving.catch_up()
    assert await archive.changed_at() == changed_at
    await client.patch(f"/v1/sessions/{session['id']}", json={"name": "renamed"})
    await saving.catch_up()
    assert (await archive.load(session["id"]))[0].name == "renamed"
    await client.delete(f"/v1/sessions/{session['id']}", params={"save": "false"})
    await saving.catch_up()
    assert not await archive.exists(session["id"])
