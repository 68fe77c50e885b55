"""Resuming at once from many, at limits, and what a damaged or missing thing does to it."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from pathlib import Path

import httpx

from orchestrator.api.app import create_app
from orchestrator.archive.archive import Archive
from orchestrator.domain.ids import new_id
from orchestrator.services.bundle import Services, build_services
from orchestrator.settings import Settings
from orchestrator.store.facade import Store
from tests.integration.api.answers import assert_refused
from tests.integration.api.conftest import TOKEN, Opened, Project, client_of
from tests.integration.api.test_saved import saved, talk
from tests.unit.archive.conftest import contents_of, header_of


async def closed(client: httpx.AsyncClient, opened: Opened, store: Store, name: str) -> str:
    session = await opened(name)
    await talk(client, store, session)
    assert (await client.delete(f"/v1/sessions/{session['id']}")).status_code == 204
    return str(session["id"])


async def test_of_many_at_once_one_wins_and_the_others_get_a_conflict(
    client: httpx.AsyncClient,
    opened: Opened,
    store: Store,
    settings: Settings,
    valkey_url: str,
) -> None:
    session_id = await closed(client, opened, store, "alpha")
    async with Store.open(valkey_url) as other_store:
        other = create_app(build_services(other_store, settings), settings, TOKEN)
        async with client_of(other, settings) as other_client:
            clients = [client, other_client, client, other_client, client]
            answers = await asyncio.gather(
                *(each.post(f"/v1/saved/{session_id}/resume") for each in clients)
            )
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 4}
    for answer in answers:
        if answer.status_code == 409:
            problem = assert_refused(answer, 409, "project_already_open")
            assert problem["session_id"] == session_id
    page = (await client.get(f"/v1/sessions/{session_id}/messages")).json()
    assert len(page["items"]) == 2
    assert len((await client.get("/v1/sessions")).json()["items"]) == 1


async def test_at_the_limit_of_sessions_nothing_is_lost(
    client: httpx.AsyncClient, opened: Opened, store: Store, base: Path
) -> None:
    session_id = await closed(client, opened, store, "alpha")
    path = base / "home" / "sessions" / f"{session_id}.json"
    before = path.read_bytes()
    others = [await opened(name) for name in ("one", "two", "three")]
    problem = assert_refused(
        await client.post(f"/v1/saved/{session_id}/resume"), 409, "session_limit_reached"
    )
    assert (problem["current"], problem["max"]) == (3, 3)
    assert path.read_bytes() == before
    await client.delete(f"/v1/sessions/{others[0]['id']}")
    assert (await client.post(f"/v1/saved/{session_id}/resume")).status_code == 201
    assert path.read_bytes() == before


async def test_a_project_that_is_gone_or_taken_is_said_so_and_nothing_is_lost(
    client: httpx.AsyncClient, opened: Opened, store: Store, base: Path, project: Project
) -> None:
    session_id = await closed(client, opened, store, "alpha")
    url = f"/v1/saved/{session_id}/resume"
    shutil.rmtree(base / "projects" / "alpha")
    problem = assert_refused(await client.post(url), 422, "project_path_not_found")
    assert "resume it with its new path" in problem["detail"]
    other = await opened("beta")
    taken = {"project_path": str(base / "projects" / "beta")}
    problem = assert_refused(await client.post(url, json=taken), 409, "project_already_open")
    assert problem["session_id"] == other["id"]
    moved = {"project_path": str(project("gamma"))}
    assert (await client.post(url, json=moved)).status_code == 201
    assert (await client.get(f"/v1/sessions/{session_id}")).json()["project_path"].endswith("gamma")


async def test_closing_again_updates_the_same_record(
    client: httpx.AsyncClient, opened: Opened, store: Store, services: Services
) -> None:
    session_id = await closed(client, opened, store, "alpha")
    (first,) = await saved(client)
    session = (await client.post(f"/v1/saved/{session_id}/resume")).json()
    assert (await services.sessions.settled(session_id)).status == "ready"
    await talk(client, store, session)
    assert (await client.delete(f"/v1/sessions/{session_id}")).status_code == 204
    (second,) = await saved(client)
    assert (second["id"], second["messages"], second["turns"]) == (session_id, 4, 2)
    assert second["created_at"] == first["created_at"]
    assert second["closed_at"] > first["closed_at"]


async def test_a_live_session_is_neither_listed_nor_deleted(
    client: httpx.AsyncClient, opened: Opened, store: Store, base: Path
) -> None:
    session_id = await closed(client, opened, store, "alpha")
    await client.post(f"/v1/saved/{session_id}/resume")
    assert await saved(client) == []
    problem = assert_refused(
        await client.delete(f"/v1/saved/{session_id}"), 409, "project_already_open"
    )
    assert problem["session_id"] == session_id
    assert (base / "home" / "sessions" / f"{session_id}.json").exists()
    await client.delete(f"/v1/sessions/{session_id}")
    assert (await client.delete(f"/v1/saved/{session_id}")).status_code == 204


async def test_twenty_attempts_a_minute_are_answered_failed_ones_counted(
    client: httpx.AsyncClient,
) -> None:
    for _ in range(20):
        assert_refused(
            await client.post(f"/v1/saved/{new_id()}/resume"), 404, "saved_session_not_found"
        )
    answer = await client.post(f"/v1/saved/{new_id()}/resume")
    problem = assert_refused(answer, 429, "rate_limited")
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert problem["retry_after_s"] == int(answer.headers["retry-after"])


async def _fill(archive: Archive, count: int) -> None:
    for number in range(count):
        await archive.save(header_of(f"old {number}"), contents_of("hello"))


async def test_many_saved_sessions_are_warned_of_and_at_the_limit_refused(
    client: httpx.AsyncClient, opened: Opened, store: Store, settings: Settings
) -> None:
    services = build_services(store, settings)
    archive = Archive(settings.home)
    await _fill(archive, 79)
    session = await opened()
    await talk(client, store, session)
    await services.saving.autosave(session["id"])
    await services.saving.autosave(session["id"])
    assert [text for code, text in await notices(store, session["id"]) if code == "saved_many"] == [
        "80 sessions are saved; at 100 no new one can be saved. Delete some with /resume delete, "
        "or set JIDO_SAVED_MAX_COUNT or JIDO_SAVED_MAX_AGE_DAYS."
    ]

    await _fill(archive, 20)
    other = await opened("beta")
    await talk(client, store, other)
    assert not await services.saving.autosave(other["id"])
    told = dict(await notices(store, other["id"]))
    assert "100 sessions are saved, which is the limit" in told["saved_limit_reached"]
    url = f"/v1/sessions/{other['id']}"
    assert_refused(await client.delete(url), 409, "saved_limit_reached")
    assert (await client.get(url)).json()["status"] == "ready"
    assert (await client.delete(f"/v1/sessions/{session['id']}")).status_code == 204
    assert (await client.delete(url, params={"save": "false"})).status_code == 204


async def notices(store: Store, session_id: str) -> list[tuple[str, str]]:
    events = await store.events.read(session_id, 0, 10_000)
    return [(e.data["code"], e.data["text"]) for e in events if e.type == "notice"]
