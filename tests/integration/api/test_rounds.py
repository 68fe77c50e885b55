"""Saving and resuming ten times changes no byte of what was said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import redis

from orchestrator.domain.history import HistoryEntry, PendingApproval
from orchestrator.domain.session import Usage
from orchestrator.store import keys
from orchestrator.store.facade import Store
from tests.integration.api.conftest import Opened
from tests.unit.archive import rich

WORKER = "worker-of-the-test"
MOVES = {"updated_at", "closed_at"}
"""Fields of the header that a save and a resume change; of the body none."""


async def _ask(client: httpx.AsyncClient, store: Store, session_id: str) -> None:
    """Have a turn that asked three questions, one of which nobody answered."""
    url = f"/v1/sessions/{session_id}/turns"
    turn = (await client.post(url, json={"prompt": f"please {rich.WORDS}"})).json()
    await store.turns.begin(session_id, turn["id"], WORKER)
    asked = [
        PendingApproval(call_id=f"call_{n}", tool=tool, arguments={"n": n, "x": rich.WORDS})
        for n, tool in enumerate(("run_command", "edit_file", "write_file"))
    ]
    await store.turns.suspend(session_id, turn["id"], asked, Usage(input_tokens=3, cost_usd=0.25))
    for call, body in (
        ("call_0", {"decision": "deny", "reason": "nöt now"}),
        ("call_1", {"decision": "session"}),
    ):
        answer = await client.post(f"{url}/{turn['id']}/approvals/{call}", json=body)
        assert answer.status_code == 202, answer.text
    assert (await client.post(f"{url}/{turn['id']}/cancel")).status_code == 202


async def _converse(client: httpx.AsyncClient, store: Store, session_id: str) -> None:
    await _ask(client, store, session_id)
    # Redis holds no half of a surrogate pair; what is read back is what is saved from then on.
    broken = HistoryEntry(model={"kind": "request", "parts": [], "x": "a\ud800b\udfffc"})
    await store.history.append(session_id, [*rich.entries(), broken], [])
    await store.history.set_todos(session_id, rich.todos(), [])


def _parts(path: Path) -> tuple[dict[str, Any], bytes]:
    """Return a file's header without what a save changes, and the bytes of its body."""
    first, header, body = path.read_bytes().split(b"\n", 2)
    assert set(json.loads(first.removesuffix(b",") + b"}")) == {"format", "version", "checksum"}
    fields = json.loads(header.removeprefix(b'"header":').removesuffix(b","))
    return {key: value for key, value in fields.items() if key not in MOVES}, body


async def test_ten_rounds_change_no_byte_of_what_was_said(
    client: httpx.AsyncClient, opened: Opened, store: Store, base: Path, valkey_url: str
) -> None:
    session = await opened(name="naïve ✓", config={"temperature": 0.0})
    url, saved = f"/v1/sessions/{session['id']}", f"/v1/saved/{session['id']}"
    await _converse(client, store, session["id"])
    exported = (await client.get(f"{url}/export")).json()
    path = base / "home" / "sessions" / f"{session['id']}.json"
    rounds = []
    with redis.Redis.from_url(valkey_url) as connection:
        for _ in range(10):
            assert (await client.delete(url)).status_code == 204
            rounds.append(_parts(path))
            # Ten resumes in a row are more than a person may make in a minute.
            connection.delete(keys.rate(f"resume:{session['id']}"))
            answer = await client.post(f"{saved}/resume")
            assert answer.status_code == 201, answer.text
            await client.get(url, params={"wait": "ready"})
    header, body = rounds[0]
    assert [number for number, each in enumerate(rounds) if each[1] != body] == []
    assert [number for number, each in enumerate(rounds) if each[0] != header] == []

    contents = json.loads(body.removeprefix(b'"body":').removesuffix(b"}\n"))
    decisions = [(each["decision"], each["answer_reason"]) for each in contents["approvals"]]
    assert decisions == [("deny", "nöt now"), ("session", None), (None, None)]
    assert contents["allowed_tools"] == ["edit_file"]
    assert contents["prompt_history"] == [f"please {rich.WORDS}"]
    assert contents["entries"][-1]["model"]["x"] == "a?b?c"
    assert (header["usage"]["input_tokens"], header["usage"]["cost_usd"]) == (3, 0.25)
    assert header["config"]["temperature"] == 0.0
    again = (await client.get(f"{url}/export")).json()
    assert {**again, "updated_at": None} == {**exported, "updated_at": None}
    assert await store.turns.allowed_tools(session["id"]) == {"edit_file"}


async def test_what_is_written_down_is_the_same_from_whichever_process(
    client: httpx.AsyncClient, opened: Opened, store: Store, base: Path
) -> None:
    """The autosave after a turn and the save on closing hold the same body."""
    session = await opened()
    await _converse(client, store, session["id"])
    path = base / "home" / "sessions" / f"{session['id']}.json"
    assert (await client.post(f"/v1/sessions/{session['id']}/save")).status_code == 200
    kept = _parts(path)
    assert (await client.delete(f"/v1/sessions/{session['id']}")).status_code == 204
    assert _parts(path) == kept
