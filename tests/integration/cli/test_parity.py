"""Every form of `/session` and `/resume`: client command, `jido session …` and HTTP do the same."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.command_line import CommandLine
from tests.support.ways import ByClient, ByCommand, ByHttp, Step, Way

pytestmark = [pytest.mark.bubblewrap, pytest.mark.xdist_group("cli")]

STORY = {
    "new": Step(
        "/session new '{path}' --name 'my work'", "new {path} --name 'my work'",
        "POST /v1/sessions?wait=ready", {"project_path": "{path}", "name": "my work"},
    ),
    "list": Step("/session list", "list", "GET /v1/sessions"),
    "switch": Step("/session switch {id}", "show {id}", "GET /v1/sessions/{id}"),
    "rename": Step(
        "/session rename other", "rename {id} other", "PATCH /v1/sessions/{id}", {"name": "other"}
    ),
    "config": Step(
        "/config temperature 0", "config {id} temperature=0",
        "PATCH /v1/sessions/{id}", {"config": {"temperature": 0}},
    ),
    "model": Step(
        "/model ollama:tiny", "config {id} model=ollama:tiny",
        "PATCH /v1/sessions/{id}", {"config": {"model": "ollama:tiny"}},
    ),
    "provider": Step(
        "/provider offline", "config {id} provider=offline",
        "PATCH /v1/sessions/{id}", {"config": {"provider": "offline"}},
    ),
    "save": Step("/session save", "save {id}", "POST /v1/sessions/{id}/save"),
    "restart": Step("/session restart", "restart {id}", "POST /v1/sessions/{id}/restart"),
    "export": Step("/export '{file}'", "export {id} {file}", "GET /v1/sessions/{id}/export"),
    "close": Step("/session close {id}", "close {id}", "DELETE /v1/sessions/{id}?save=true"),
    "saved": Step("/resume", "saved", "GET /v1/saved"),
    "resume": Step("/resume 1", "resume 1", "POST /v1/saved/{id}/resume", {}),
    "close again": Step("/session close other", "close other", "DELETE /v1/sessions/{id}"),
    "delete": Step("/resume delete {id}", "delete {id}", "DELETE /v1/saved/{id}"),
    "import": Step("/import '{file}'", "import {file}", "POST /v1/import", "{file}"),
    "clear": Step("/resume clear", "clear --yes", "DELETE /v1/saved/{id}"),
}  # fmt: skip
"""Each form, in an order in which each finds what it needs."""

REFUSALS = {
    "not found": Step(
        "/session new '{path}/no'", "new {path}/no",
        "POST /v1/sessions", {"project_path": "{path}/no"},
    ),
    "not a directory": Step(
        "/session new '{path}/README.md'", "new {path}/README.md",
        "POST /v1/sessions", {"project_path": "{path}/README.md"},
    ),
    "a system directory": Step(
        "/session new /etc", "new /etc", "POST /v1/sessions", {"project_path": "/etc"}
    ),
    "a name too long": Step(
        "/session new '{path}' -n {long}", "new {path} -n {long}",
        "POST /v1/sessions", {"project_path": "{path}", "name": "{long}"},
    ),
    "a rename too long": Step(
        "/session rename {long}", "rename {id} {long}",
        "PATCH /v1/sessions/{id}", {"name": "{long}"},
    ),
    "an unknown provider": Step(
        "/provider nobody", "config {id} provider=nobody",
        "PATCH /v1/sessions/{id}", {"config": {"provider": "nobody"}},
    ),
    "a model without provider": Step(
        "/model nobody:x", "config {id} model=nobody:x",
        "PATCH /v1/sessions/{id}", {"config": {"model": "nobody:x"}},
    ),
    "too hot": Step(
        "/config temperature 3", "config {id} temperature=3",
        "PATCH /v1/sessions/{id}", {"config": {"temperature": 3.0}},
    ),
    "no tokens": Step(
        "/config max_tokens 0", "config {id} max_tokens=0",
        "PATCH /v1/sessions/{id}", {"config": {"max_tokens": 0}},
    ),
    "no document": Step("/import '{bad}'", "import {bad}", "POST /v1/import", "{bad}"),
    "the limit": Step(
        "/session new '{spare}'", "new {spare}", "POST /v1/sessions", {"project_path": "{spare}"}
    ),
}  # fmt: skip
"""Faults that every way can meet, refused by the one service."""


@pytest.fixture
async def http(jido: CommandLine) -> AsyncIterator[httpx.AsyncClient]:
    """The running stack's api."""
    state = jido.state()
    assert state is not None
    token = (jido.home / "token").read_text().strip()
    headers = {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=state["url"], headers=headers, timeout=90) as client:
        yield client


@pytest.fixture
def ways(jido: CommandLine, http: httpx.AsyncClient) -> dict[str, Way]:
    token = http.headers["authorization"].removeprefix("Bearer ")
    return {
        "http": ByHttp(http),
        "command": ByCommand(jido),
        "client": ByClient(str(http.base_url), token),
    }


async def settled(http: httpx.AsyncClient, path: Path) -> dict[str, Any]:
    """What there is of a project, without what differs from one time to the next."""
    while True:
        live = [
            each
            for each in (await http.get("/v1/sessions")).json()["items"]
            if each["project_path"] == str(path)
        ]
        if all(each["status"] == "ready" for each in live):
            break
        await asyncio.sleep(0.05)
    saved = (await http.get("/v1/saved")).json()["items"]
    shown = ("name", "config", "turns", "messages", "language")
    return {
        "live": [{key: each.get(key) for key in shown} for each in live],
        "saved": [
            {key: each.get(key) for key in shown}
            for each in saved
            if each["project_path"] == str(path)
        ],
    }


async def id_of(http: httpx.AsyncClient, path: Path) -> str:
    """The identifier of the project's session, live or saved."""
    items = (await http.get("/v1/sessions")).json()["items"]
    items += (await http.get("/v1/saved")).json()["items"]
    return next((str(i["id"]) for i in items if i["project_path"] == str(path)), "")


async def say_something(http: httpx.AsyncClient, session_id: str) -> None:
    """Have one turn, so that there is something to save."""
    url = f"/v1/sessions/{session_id}"
    turn = (await http.post(f"{url}/turns", json={"prompt": "say hello"})).json()
    async with asyncio.timeout(60):
        status = ""
        while status != "completed":
            await asyncio.sleep(0.05)
            status = (await http.get(f"{url}/turns/{turn['id']}")).json()["status"]


async def test_every_form_has_the_same_effect_by_all_ways(
    ways: dict[str, Way], http: httpx.AsyncClient, project: Path, tmp_path: Path
) -> None:
    told: dict[str, list[Any]] = {}
    for name, way in ways.items():
        story = told[name] = []
        places = {"path": str(project), "id": "", "file": str(tmp_path / f"{name}.json")}
        for form, step in STORY.items():
            words = await way.take(step, places)
            assert words == "", (name, form)
            places["id"] = await id_of(http, project) or places["id"]
            state = await settled(http, project)
            if form == "new":
                await say_something(http, places["id"])
                state = await settled(http, project)
            story.append((form, state))
        document = json.loads(Path(places["file"]).read_text())
        story.append((document["format"], document["name"], len(document["messages"])))
        assert await id_of(http, project) == "", f"{name} left something"
    assert told["command"] == told["http"]
    assert told["client"] == told["http"]
    effects = dict(told["http"][:-1])
    assert effects["config"]["live"][0]["config"]["temperature"] == 0.0
    assert effects["model"]["live"][0]["config"]["model"] == "tiny"
    assert effects["close"]["live"] == []
    assert effects["resume"]["live"][0]["name"] == "other"
    assert len(effects["import"]["saved"]) == 1


async def test_every_refusal_has_the_same_words_by_all_ways(
    ways: dict[str, Way],
    http: httpx.AsyncClient,
    jido: CommandLine,
    project: Path,
    tmp_path: Path,
) -> None:
    (tmp_path / "bad.json").write_text('{"format": "nothing of ours"}')
    others = [jido.project(f"fill-{n}") for n in range(10)]
    sessions = [(await _open(http, path))["id"] for path in (project, *others[:9])]
    places = {
        "path": str(project), "id": sessions[0], "long": "x" * 51,
        "bad": str(tmp_path / "bad.json"), "spare": str(others[9]),
    }  # fmt: skip
    try:
        for fault, step in REFUSALS.items():
            words = {name: await way.take(step, places) for name, way in ways.items()}
            assert words["http"], fault
            assert set(words.values()) == {words["http"]}, (fault, words)
    finally:
        for session_id in sessions:
            await http.delete(f"/v1/sessions/{session_id}", params={"save": "false"})


async def _open(http: httpx.AsyncClient, path: Path) -> dict[str, Any]:
    answer = await http.post("/v1/sessions", json={"project_path": str(path)})
    assert answer.status_code == 201, answer.text
    session: dict[str, Any] = answer.json()
    return session


async def test_what_names_no_session_is_refused_alike(
    ways: dict[str, Way], http: httpx.AsyncClient, project: Path
) -> None:
    session = await _open(http, project)
    places = {"id": session["id"]}
    try:
        for client, command in (
            ("/session switch nobody", "show nobody"),
            ("/session close nobody", "close nobody"),
            ("/resume nobody", "resume nobody"),
            ("/resume delete 7", "delete 7"),
        ):
            step = Step(client, command, "")
            said = [await ways[way].take(step, places) for way in ("client", "command")]
            assert said[0] == said[1] != ""
    finally:
        await http.delete(f"/v1/sessions/{session['id']}")
