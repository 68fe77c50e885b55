"""Saving, resuming, deleting, export and import over HTTP."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx

from orchestrator.domain.history import HistoryEntry
from orchestrator.domain.ids import new_id
from orchestrator.domain.message import Message, TextPart, Todo
from orchestrator.domain.session import Usage
from orchestrator.services.bundle import Services
from orchestrator.services.clock import now
from orchestrator.store.facade import Store
from tests.integration.api.answers import assert_refused
from tests.integration.api.conftest import Opened

WORKER = "worker-of-the-test"
RESPONSE = {"kind": "response", "parts": [{"part_kind": "text", "content": "good day"}]}


async def talk(client: httpx.AsyncClient, store: Store, session: dict[str, Any]) -> None:
    """Have one whole turn in a session."""
    url = f"/v1/sessions/{session['id']}/turns"
    turn = (await client.post(url, json={"prompt": "hello"})).json()
    await store.turns.begin(session["id"], turn["id"], WORKER)
    answer = Message(
        id=new_id(),
        turn_id=turn["id"],
        role="assistant",
        time=now(),
        parts=[TextPart(text="good day")],
    )
    entry = HistoryEntry(message=answer, model=RESPONSE)
    await store.history.append(session["id"], [entry], [])
    await store.history.set_todos(session["id"], [Todo(id="1", content="first")], [])
    usage = Usage(input_tokens=3, output_tokens=2, cost_usd=0.0)
    await store.turns.finish(session["id"], turn["id"], "completed", usage)


async def saved(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await client.get("/v1/saved")).json()["items"]
    return items


async def test_a_closed_session_is_resumed_with_everything_it_had(
    client: httpx.AsyncClient, opened: Opened, store: Store
) -> None:
    session = await opened("alpha", name="my work", config={"temperature": 0.0})
    url = f"/v1/sessions/{session['id']}"
    await talk(client, store, session)
    before = (await client.get(f"{url}/messages")).json()
    model_before = await store.history.model_messages(session["id"])
    assert await saved(client) == []
    assert (await client.delete(url, params={"save": "true"})).status_code == 204

    (entry,) = await saved(client)
    assert (entry["id"], entry["name"], entry["messages"]) == (session["id"], "my work", 2)
    assert entry["closed_at"] is not None
    answer = await client.post(f"/v1/saved/{entry['id']}/resume")
    assert answer.status_code == 201, answer.text
    resumed = answer.json()
    for field in ("id", "name", "project_path", "config", "created_at", "turns"):
        assert resumed[field] == {**session, "turns": 1}[field], field
    assert resumed["usage"]["input_tokens"] == 3
    assert (await client.get(f"{url}/messages")).json() == before
    assert await store.history.model_messages(session["id"]) == model_before
    assert (await store.history.snapshot(session["id"]))[1].prompts == ["hello"]
    assert (await client.get(f"{url}/todos")).json()["items"][0]["content"] == "first"
    assert await saved(client) == []
    again = assert_refused(
        await client.post(f"/v1/saved/{session['id']}/resume"), 409, "project_already_open"
    )
    assert again["session_id"] == session["id"]


async def test_an_empty_session_is_never_saved(client: httpx.AsyncClient, opened: Opened) -> None:
    session = await opened()
    answer = await client.post(f"/v1/sessions/{session['id']}/save")
    assert (answer.status_code, answer.json()["saved"], answer.json()["file"]) == (200, False, None)
    assert "nothing to save" in answer.json()["detail"]
    assert (await client.delete(f"/v1/sessions/{session['id']}")).status_code == 204
    assert await saved(client) == []


async def test_closing_without_saving_leaves_no_autosave(
    client: httpx.AsyncClient, opened: Opened, store: Store, services: Services
) -> None:
    session = await opened()
    await talk(client, store, session)
    await services.saving.autosave(session["id"])
    await client.delete(f"/v1/sessions/{session['id']}", params={"save": "false"})
    assert await saved(client) == []


async def test_a_resumed_session_closed_without_saving_stays_saved(
    client: httpx.AsyncClient, opened: Opened, store: Store, services: Services
) -> None:
    session = await opened()
    await talk(client, store, session)
    await client.delete(f"/v1/sessions/{session['id']}")
    await client.post(f"/v1/saved/{session['id']}/resume")
    await services.saving.autosave(session["id"])
    await client.delete(f"/v1/sessions/{session['id']}", params={"save": "false"})
    assert [entry["id"] for entry in await saved(client)] == [session["id"]]


async def test_a_turn_under_way_is_cancelled_and_its_words_are_saved(
    client: httpx.AsyncClient, opened: Opened, store: Store
) -> None:
    session = await opened()
    url = f"/v1/sessions/{session['id']}"
    turn = (await client.post(f"{url}/turns", json={"prompt": "long work"})).json()
    await client.post(f"{url}/turns", json={"prompt": "waiting"})
    await store.turns.begin(session["id"], turn["id"], WORKER)
    closing = asyncio.create_task(client.delete(url))
    with store.signals.watch(f"turn:{turn['id']}") as watch:
        while not await store.turns.is_cancel_requested(session["id"], turn["id"]):
            await watch.wait(0.2)
    await store.turns.finish(session["id"], turn["id"], "cancelled", Usage())
    assert (await closing).status_code == 204
    assert [entry["messages"] for entry in await saved(client)] == [1]


async def test_a_project_that_moved_is_resumed_at_its_new_place(
    client: httpx.AsyncClient, opened: Opened, store: Store, base: Path
) -> None:
    session = await opened("alpha")
    await talk(client, store, session)
    await client.delete(f"/v1/sessions/{session['id']}")
    (base / "projects" / "alpha").rename(base / "projects" / "moved")
    url = f"/v1/saved/{session['id']}/resume"
    assert_refused(await client.post(url), 422, "project_path_not_found")
    answer = await client.post(url, json={"project_path": str(base / "projects" / "moved")})
    assert answer.status_code == 201
    assert answer.json()["project_path"] == str(base / "projects" / "moved")


async def test_resuming_is_limited_and_failures_count(client: httpx.AsyncClient) -> None:
    missing = new_id()
    url = f"/v1/saved/{missing}/resume"
    for _ in range(5):
        assert_refused(await client.post(url), 404, "saved_session_not_found")
    answer = await client.post(url)
    assert_refused(answer, 429, "rate_limited")
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert_refused(
        await client.post(f"/v1/saved/{new_id()}/resume"), 404, "saved_session_not_found"
    )


async def test_a_damaged_file_is_listed_with_its_code_and_can_be_deleted(
    client: httpx.AsyncClient, opened: Opened, store: Store, base: Path
) -> None:
    session = await opened()
    await talk(client, store, session)
    await client.delete(f"/v1/sessions/{session['id']}")
    path = base / "home" / "sessions" / f"{session['id']}.json"
    path.write_bytes(path.read_bytes()[:-20])
    (entry,) = await saved(client)
    assert entry["error"] == "saved_session_truncated"
    assert "The file is kept; restore it from a backup, or delete" in entry["detail"]
    url = f"/v1/saved/{session['id']}"
    assert_refused(await client.post(f"{url}/resume"), 422, "saved_session_truncated")
    assert path.exists()
    assert (await client.delete(url)).status_code == 204
    assert_refused(await client.delete(url), 404, "saved_session_not_found")
    assert_refused(await client.delete("/v1/saved/nonsense"), 404, "saved_session_not_found")


async def closed_and_another(
    client: httpx.AsyncClient, opened: Opened, store: Store
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A session that was used, saved and closed, and a new one of the same project."""
    session = await opened("alpha")
    await talk(client, store, session)
    await client.delete(f"/v1/sessions/{session['id']}")
    body = {"project_path": session["project_path"]}
    return session, (await client.post("/v1/sessions?wait=ready", json=body)).json()


async def test_a_resumed_session_takes_the_place_of_an_unused_one_only_when_asked(
    client: httpx.AsyncClient, opened: Opened, store: Store
) -> None:
    session, unused = await closed_and_another(client, opened, store)
    elsewhere = await opened("beta")
    resume = f"/v1/saved/{session['id']}/resume"
    assert_refused(await client.post(resume), 409, "project_already_open")
    assert_refused(
        await client.post(resume, json={"replaces": elsewhere["id"]}), 409, "project_already_open"
    )
    answer = await client.post(resume, json={"replaces": unused["id"]})
    assert (answer.status_code, answer.json()["id"]) == (201, session["id"])
    live = [each["id"] for each in (await client.get("/v1/sessions")).json()["items"]]
    assert sorted(live) == sorted([elsewhere["id"], session["id"]])


async def test_a_used_session_gives_its_place_to_nobody(
    client: httpx.AsyncClient, opened: Opened, store: Store
) -> None:
    session, used = await closed_and_another(client, opened, store)
    await talk(client, store, used)
    answer = await client.post(f"/v1/saved/{session['id']}/resume", json={"replaces": used["id"]})
    assert_refused(answer, 409, "project_already_open")
    assert (await client.get(f"/v1/sessions/{used['id']}")).json()["status"] == "ready"
