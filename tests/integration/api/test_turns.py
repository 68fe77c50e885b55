"""Prompts, turns, approvals and the conversation over HTTP; the test is the worker."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from orchestrator.domain.events import NewEvent
from orchestrator.domain.history import HistoryEntry, PendingApproval
from orchestrator.domain.ids import new_id
from orchestrator.domain.limits import MAX_QUEUED_TURNS
from orchestrator.domain.message import Message, TextPart, Todo
from orchestrator.domain.session import Usage
from orchestrator.store.facade import Store
from tests.integration.api.answers import assert_refused
from tests.integration.api.conftest import Opened, Project
from tests.support.process_runtime import ProcessRuntime

WORKER = "worker-of-the-test"


async def submit(client: httpx.AsyncClient, session: dict[str, Any], prompt: str) -> dict[str, Any]:
    answer = await client.post(f"/v1/sessions/{session['id']}/turns", json={"prompt": prompt})
    assert answer.status_code == 202, answer.text
    turn: dict[str, Any] = answer.json()
    return turn


async def test_a_prompt_is_accepted_and_recorded(
    client: httpx.AsyncClient, opened: Opened, store: Store
) -> None:
    session = await opened()
    turn = await submit(client, session, "hello")
    assert (turn["status"], turn["prompt"], turn["session_id"]) == (
        "queued",
        "hello",
        session["id"],
    )
    url = f"/v1/sessions/{session['id']}"
    assert (await client.get(f"{url}/turns/{turn['id']}")).json() == turn
    messages = (await client.get(f"{url}/messages")).json()["items"]
    assert [(m["role"], m["parts"][0]["text"]) for m in messages] == [("user", "hello")]
    assert (await client.get(url)).json()["activity"] == "working"
    types = [event.type for event in await store.events.read(session["id"], 0, 100)]
    assert types[-2:] == ["turn.queued", "message.user"]


async def test_the_same_key_gives_the_same_turn(client: httpx.AsyncClient, opened: Opened) -> None:
    session = await opened()
    url = f"/v1/sessions/{session['id']}/turns"
    headers = {"Idempotency-Key": "abc"}
    first, second = [
        (await client.post(url, json={"prompt": "hello"}, headers=headers)).json() for _ in range(2)
    ]
    assert first["id"] == second["id"]
    other = await client.post(url, json={"prompt": "hello"}, headers={"Idempotency-Key": "other"})
    assert other.json()["id"] != first["id"]
    unfinished = (await client.get(url)).json()["items"]
    assert [turn["id"] for turn in unfinished] == [first["id"], other.json()["id"]]
    long = {"Idempotency-Key": "x" * 201}
    assert_refused(
        await client.post(url, json={"prompt": "a"}, headers=long), 422, "invalid_argument"
    )


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"prompt": " \n"}, "prompt_empty"),
        ({"prompt": "é" * 50_001}, "prompt_too_long"),
        ({}, "invalid_request"),
        ({"prompt": None}, "invalid_request"),
        ({"prompt": "a", "model": "b"}, "invalid_request"),
    ],
)
async def test_prompts_are_refused_by_kind(
    client: httpx.AsyncClient, opened: Opened, body: Any, code: str
) -> None:
    session = await opened()
    url = f"/v1/sessions/{session['id']}"
    assert_refused(await client.post(f"{url}/turns", json=body), 422, code)
    assert (await client.get(f"{url}/messages")).json()["items"] == []


async def test_a_session_that_is_not_ready_takes_no_prompt(
    client: httpx.AsyncClient, runtime: ProcessRuntime, project: Project
) -> None:
    path = project("alpha")
    (path / "refuse-to-start").touch()
    body = {"project_path": str(path)}
    session = (await client.post("/v1/sessions?wait=ready", json=body)).json()
    url = f"/v1/sessions/{session['id']}"
    for call, sent in (("turns", {"prompt": "a"}), ("exec", {"command": "true"})):
        assert_refused(await client.post(f"{url}/{call}", json=sent), 409, "session_not_ready")


async def test_a_full_queue_refuses_more(client: httpx.AsyncClient, opened: Opened) -> None:
    session = await opened()
    for number in range(MAX_QUEUED_TURNS + 1):
        await submit(client, session, f"prompt {number}")
    answer = await client.post(f"/v1/sessions/{session['id']}/turns", json={"prompt": "more"})
    assert_refused(answer, 409, "queue_full")


async def test_a_waiting_turn_is_cancelled_at_once_and_a_running_one_is_asked(
    client: httpx.AsyncClient, opened: Opened, store: Store
) -> None:
    session = await opened()
    running, waiting = [await submit(client, session, text) for text in ("one", "two")]
    await store.turns.begin(session["id"], running["id"], WORKER)
    url = f"/v1/sessions/{session['id']}/turns"
    answer = await client.post(f"{url}/{waiting['id']}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (202, "cancelled")
    answer = await client.post(f"{url}/{running['id']}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (202, "working")
    assert await store.turns.is_cancel_requested(session["id"], running["id"])
    await store.turns.finish(session["id"], running["id"], "cancelled", Usage())
    assert (await client.post(f"{url}/{running['id']}/cancel")).status_code == 202
    assert_refused(await client.post(f"{url}/{new_id()}/cancel"), 404, "turn_not_found")
    assert_refused(await client.get(f"{url}/nonsense"), 404, "turn_not_found")


async def test_approvals_are_answered_once(
    client: httpx.AsyncClient, opened: Opened, store: Store
) -> None:
    session = await opened()
    turn = await submit(client, session, "do it")
    await store.turns.begin(session["id"], turn["id"], WORKER)
    asked = [PendingApproval(call_id=call, tool="shell", arguments={}) for call in ("a", "b/c")]
    await store.turns.suspend(session["id"], turn["id"], asked)
    url = f"/v1/sessions/{session['id']}/turns/{turn['id']}/approvals"
    first = await client.post(f"{url}/a", json={"decision": "once"})
    assert (first.status_code, first.json()["status"]) == (202, "awaiting_approval")
    again = await client.post(f"{url}/a", json={"decision": "deny", "reason": "no"})
    assert_refused(again, 409, "approval_already_answered")
    assert_refused(
        await client.post(f"{url}/x", json={"decision": "once"}), 404, "approval_not_found"
    )
    assert_refused(await client.post(f"{url}/a", json={"decision": "yes"}), 422, "invalid_request")
    denied = {"decision": "deny", "reason": "not now"}
    assert (await client.post(f"{url}/b%2Fc", json=denied)).status_code == 202
    answers = await store.turns.answers(session["id"], turn["id"])
    assert (answers["a"].decision, answers["b/c"].reason) == ("once", "not now")
    assert await store.turns.begin(session["id"], turn["id"], WORKER) is not None


async def test_messages_are_paged_backwards_oldest_first(
    client: httpx.AsyncClient, opened: Opened, store: Store
) -> None:
    session = await opened()
    entries = [
        HistoryEntry(
            message=Message(
                id=new_id(),
                turn_id=new_id(),
                role="user",
                time=datetime.now(UTC),
                parts=[TextPart(text=str(number))],
            )
        )
        for number in range(25)
    ]
    await store.history.append(session["id"], entries, [])
    url = f"/v1/sessions/{session['id']}/messages"
    pages: list[list[str]] = []
    parameters: dict[str, str | int] = {"limit": 10}
    while True:
        page = (await client.get(url, params=parameters)).json()
        pages.append([message["parts"][0]["text"] for message in page["items"]])
        if page["next"] is None:
            break
        parameters["before"] = page["next"]
    assert [number for page in reversed(pages) for number in page] == [str(n) for n in range(25)]
    assert [len(page) for page in pages] == [10, 10, 5]
    assert_refused(await client.get(url, params={"limit": 0}), 422, "invalid_request")
    assert_refused(await client.get(url, params={"before": "x"}), 422, "invalid_argument")


async def test_the_task_list_is_shown(
    client: httpx.AsyncClient, opened: Opened, store: Store
) -> None:
    session = await opened()
    todo = Todo(id="1", content="first", status="in_progress")
    event = NewEvent(type="todo.updated", data={"todos": [todo.model_dump()]})
    await store.history.set_todos(session["id"], [todo], [event])
    shown = (await client.get(f"/v1/sessions/{session['id']}/todos")).json()
    assert shown == {"items": [todo.model_dump()], "next": None}
