"""Export, import and redaction over HTTP; documents are hostile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator.domain.history import HistoryEntry
from orchestrator.domain.ids import new_id
from orchestrator.domain.message import Message, TextPart, ToolCallPart, ToolResultPart
from orchestrator.services.clock import now
from orchestrator.store.facade import Store
from orchestrator.wire.portable import VERSION
from scripts.schema import PAGE, published, schema
from tests.integration.api.answers import assert_refused
from tests.integration.api.conftest import Opened
from tests.integration.api.test_saved import saved, talk
from tests.unit.archive import rich

EXPORTS = Path(__file__).parents[2] / "unit" / "archive" / "exports"
SAID = ("messages", "model_history", "todos", "prompt_history", "approvals", "config", "usage")


async def exported(client: httpx.AsyncClient, session_id: str, **query: Any) -> dict[str, Any]:
    answer = await client.get(f"/v1/sessions/{session_id}/export", params=query)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


async def test_an_export_is_imported_and_resumed(
    client: httpx.AsyncClient, opened: Opened, store: Store
) -> None:
    session = await opened()
    url = f"/v1/sessions/{session['id']}"
    await talk(client, store, session)
    document = await exported(client, session["id"])
    assert (document["format"], document["version"]) == ("jido-session", VERSION)
    assert len(document["messages"]) == 2
    messages = (await client.get(f"{url}/messages")).json()
    first = await client.post("/v1/import", json=document)
    assert first.status_code == 201, first.text
    assert first.json()["id"] != session["id"]
    await client.delete(url, params={"save": "false"})
    second = (await client.post("/v1/import", json=document)).json()
    assert second["id"] == session["id"]
    resumed = (await client.post(f"/v1/saved/{second['id']}/resume")).json()
    assert (await client.get(f"/v1/sessions/{resumed['id']}/messages")).json() == messages
    again = await exported(client, resumed["id"])
    for field in SAID:
        assert again[field] == document[field], field


async def test_a_saved_session_is_exported_without_resuming_it(
    client: httpx.AsyncClient, opened: Opened, store: Store
) -> None:
    session = await opened()
    await talk(client, store, session)
    live = await exported(client, session["id"])
    await client.delete(f"/v1/sessions/{session['id']}")
    answer = await client.get(f"/v1/saved/{session['id']}/export")
    assert {**answer.json(), "closed_at": None, "updated_at": live["updated_at"]} == live
    assert [entry["id"] for entry in await saved(client)] == [session["id"]]
    assert_refused(await client.get(f"/v1/saved/{new_id()}/export"), 404, "saved_session_not_found")


async def test_an_import_names_where_its_project_is_here(
    client: httpx.AsyncClient, opened: Opened, store: Store, base: Path
) -> None:
    session = await opened("alpha")
    await talk(client, store, session)
    document = await exported(client, session["id"])
    here = base / "projects" / "here"
    here.mkdir()
    elsewhere = {**document, "project_path": "/home/somebody/else"}
    answer = await client.post("/v1/import", json=elsewhere, params={"project_path": str(here)})
    assert answer.json()["project_path"] == str(here)
    resumed = await client.post(f"/v1/saved/{answer.json()['id']}/resume")
    assert resumed.status_code == 201, resumed.text
    assert resumed.json()["project_path"] == str(here)
    for path, code in (("relative", "project_path_not_absolute"), ("/a\x1b[2J", "invalid_request")):
        answer = await client.post("/v1/import", json=document, params={"project_path": path})
        assert_refused(answer, 422, code)


@pytest.mark.parametrize("version", [1, VERSION])
async def test_documents_of_every_version_are_taken_in(
    client: httpx.AsyncClient, store: Store, version: int
) -> None:
    raw = (EXPORTS / f"v{version}.json").read_bytes()
    answer = await client.post("/v1/import", content=raw)
    assert answer.status_code == 201, answer.text
    document = (await client.get(f"/v1/saved/{rich.SESSION_ID}/export")).json()
    before = json.loads(raw)
    assert document["version"] == VERSION
    for field in SAID:
        assert document[field] == before.get(field, []), field
    contents = rich.contents() if version > 1 else rich.contents_of_version_1()
    assert document["approvals"] == [a.model_dump(mode="json") for a in contents.approvals]


async def test_an_import_allows_no_tool(
    client: httpx.AsyncClient, opened: Opened, store: Store, base: Path
) -> None:
    document = json.loads((EXPORTS / f"v{VERSION}.json").read_bytes())
    assert "session" in [record["decision"] for record in document["approvals"]]
    project = base / "projects" / "imported"
    project.mkdir()
    await opened()
    taken = (await client.post(f"/v1/import?project_path={project}", json=document)).json()
    assert (await client.post(f"/v1/saved/{taken['id']}/resume")).status_code == 201
    assert await store.turns.allowed_tools(taken["id"]) == set()
    _, conversation = await store.history.snapshot(taken["id"])
    assert len(conversation.approvals) == 4


SECRETS = {
    "key": "sk-ant-api03-" + "a1B2" * 12,
    "header": "tok_0123456789abcdef",
    "password": "hunter2hunter2",
    "field": "plain-words-in-a-field",
}


async def _say_secrets(store: Store, session_id: str) -> None:
    arguments = {
        "command": f"curl -H 'Authorization: Bearer {SECRETS['header']}' https://example.test",
        "env": {"DATABASE_PASSWORD": SECRETS["field"]},
    }
    text = f"export ANTHROPIC_API_KEY={SECRETS['key']}\npostgres://me:{SECRETS['password']}@db/x\n"
    call = {"part_kind": "tool-call", "tool_name": "run", "tool_call_id": "c", "args": arguments}
    returned = {"part_kind": "tool-return", "tool_name": "run", "tool_call_id": "c"}
    entries = [
        HistoryEntry(
            message=_message([ToolCallPart(call_id="c", name="run", arguments=arguments)]),
            model={"kind": "response", "parts": [call]},
        ),
        HistoryEntry(
            message=_message([ToolResultPart(call_id="c", status="ok", text=text)]),
            model={"kind": "request", "parts": [{**returned, "content": text}]},
        ),
        HistoryEntry(message=_message([TextPart(text=f"Your key is {SECRETS['key']}. Done.")])),
    ]
    await store.history.append(session_id, entries, [])


def _message(parts: list[Any]) -> Message:
    return Message(id=new_id(), turn_id=new_id(), role="assistant", time=now(), parts=parts)


async def test_secrets_are_taken_out_on_request(
    client: httpx.AsyncClient, opened: Opened, store: Store
) -> None:
    session = await opened()
    await talk(client, store, session)
    await _say_secrets(store, session["id"])
    whole = json.dumps(await exported(client, session["id"]))
    assert all(secret in whole for secret in SECRETS.values())
    document = await exported(client, session["id"], redact="true")
    text = json.dumps(document)
    assert [name for name, secret in SECRETS.items() if secret in text] == []
    assert "Your key is [redacted]. Done." in text
    assert "https://example.test" in text
    assert (await client.post("/v1/import", json=document)).status_code == 201


def _spoilt(good: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    message, model = good["messages"][0], good["model_history"][0]
    deep: Any = "x"
    for _ in range(70):
        deep = [deep]
    fetched = {"kind": "image-url", "url": "http://169.254.169.254/"}
    prompt = {"part_kind": "user-prompt", "content": ["look", fetched]}
    return [
        ({"extra": 1}, "invalid_request"),
        ({"format": "other"}, "invalid_request"),
        ({"version": VERSION + 1}, "saved_session_version"),
        ({"version": 0}, "invalid_request"),
        ({"version": "2"}, "invalid_request"),
        ({"version": True}, "invalid_request"),
        ({"version": 1, "extra": 1}, "invalid_request"),
        ({"version": 1, "messages": None}, "invalid_request"),
        ({"messages": "none"}, "invalid_request"),
        ({"messages": [], "model_history": []}, "invalid_request"),
        ({"messages": [message, message]}, "invalid_request"),
        ({"messages": [{**message, "more": 1}]}, "invalid_request"),
        ({"messages": [{**message, "id": "../../etc/passwd"}]}, "invalid_request"),
        ({"messages": [{**message, "role": "system"}]}, "invalid_request"),
        ({"messages": [{**message, "time": "0001-01-01T00:00:00+14:00"}]}, "invalid_request"),
        ({"messages": [{**message, "parts": [{"type": "text"}]}]}, "invalid_request"),
        ({"messages": [{**message, "parts": [{"type": "other", "text": "x"}]}]}, "invalid_request"),
        ({"model_history": [{**model, "kind": "other"}]}, "invalid_request"),
        ({"model_history": [{"kind": "request", "parts": [prompt]}]}, "invalid_request"),
        ({"model_history": [{**model, "parts": [{"part_kind": "text"}]}]}, "invalid_request"),
        (
            {"model_history": [{"kind": "response", "parts": [{"part_kind": "file"}]}]},
            "invalid_request",
        ),
        ({"model_history": [{"kind": "request", "parts": [], "x": deep}]}, "invalid_request"),
        ({"prompt_history": ["x"] * 1001}, "invalid_request"),
        ({"prompt_history": ["x" * 100_001]}, "invalid_request"),
        ({"todos": [{"id": "a\x1b", "content": "x"}]}, "invalid_request"),
        ({"approvals": [{"turn_id": "x", "call_id": "y", "tool": "z"}]}, "invalid_request"),
        ({"turns": -1}, "invalid_request"),
        ({"usage": {"input_tokens": -1}}, "invalid_request"),
        ({"usage": {"cost_usd": -0.5}}, "invalid_request"),
        ({"created_at": "9999-12-31T23:59:59-14:00"}, "invalid_request"),
        ({"name": "a\x1b[2J"}, "invalid_name"),
        ({"name": "x" * 51}, "name_too_long"),
        ({"project_path": "relative"}, "project_path_not_absolute"),
        ({"project_path": "/a\x07b"}, "invalid_request"),
        ({"language": "x\n"}, "invalid_request"),
        ({"config": {"provider": "nobody", "model": "x"}}, "unknown_provider"),
        ({"config": {"provider": "\x1b[2J", "model": "x"}}, "invalid_request"),
        (
            {"config": {"provider": "offline", "model": "demo", "temperature": 9}},
            "invalid_temperature",
        ),
    ]


async def test_documents_are_refused_by_kind(
    client: httpx.AsyncClient, opened: Opened, store: Store
) -> None:
    session = await opened()
    await talk(client, store, session)
    good = await exported(client, session["id"])
    for change, code in _spoilt(good):
        problem = assert_refused(
            await client.post("/v1/import", json={**good, **change}), 422, code
        )
        assert "\n" not in problem["detail"], problem
        assert problem["detail"].isprintable(), problem
    spoilt = json.dumps(good).replace('"good day"', r'"\ud800"')
    nan = json.dumps({**good, "usage": {"cost_usd": float("nan")}})
    for raw in (b"", b"{", b"[]", b"[" * 100_000, spoilt, nan, json.dumps(good)[:-5], b"\xff"):
        assert_refused(await client.post("/v1/import", content=raw), 422, "invalid_request")
    assert await saved(client) == []
    assert (await client.post("/v1/import", json=good)).status_code == 201


async def test_an_import_beyond_50_mib_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/import", content=b"x" * (52_428_800 + 1))
    assert_refused(answer, 413, "body_too_large")


def test_the_published_schema_is_the_one_that_is_used() -> None:
    assert published(PAGE.read_text()) == schema(), "run `python -m scripts.schema`"
    assert json.loads(schema())["title"] == "Portable"
