"""Sessions over HTTP: create, list, change, restart, close."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator.api.app import create_app
from orchestrator.services.bundle import Services
from orchestrator.services.sessions import SessionService
from orchestrator.services.starting import Starter
from orchestrator.settings import Settings
from orchestrator.store.facade import Store
from tests.integration.api.answers import assert_refused
from tests.integration.api.conftest import TOKEN, Opened, Project, client_of
from tests.support.process_runtime import ProcessRuntime


async def test_a_session_starts_and_is_ready_when_asked_to_wait(
    client: httpx.AsyncClient, opened: Opened, base: Path
) -> None:
    session = await opened("alpha")
    assert session["project_path"] == str(base / "projects" / "alpha")
    assert session["name"] == "alpha"
    assert session["activity"] == "idle"
    assert session["config"] == {
        "provider": "offline",
        "model": "demo",
        "temperature": None,
        "max_tokens": None,
    }
    assert session["last_seq"] >= 2
    assert (await client.get(f"/v1/sessions/{session['id']}")).json()["status"] == "ready"


async def test_without_waiting_the_answer_is_starting(
    client: httpx.AsyncClient, runtime: ProcessRuntime, project: Project
) -> None:
    answer = await client.post("/v1/sessions", json={"project_path": str(project("alpha"))})
    assert (answer.status_code, answer.json()["status"]) == (201, "starting")


async def test_a_failed_start_is_told_and_can_be_closed(
    client: httpx.AsyncClient, runtime: ProcessRuntime, project: Project
) -> None:
    path = project("alpha")
    (path / "refuse-to-start").touch()
    answer = await client.post("/v1/sessions?wait=ready", json={"project_path": str(path)})
    assert (answer.status_code, answer.json()["status"]) == (201, "failed")
    assert "asks for a failed start" in answer.json()["error"]
    told = (await client.get(f"/v1/sessions/{answer.json()['id']}")).json()
    assert told["error"] == answer.json()["error"]
    assert (await client.delete(f"/v1/sessions/{answer.json()['id']}")).status_code == 204
    (path / "refuse-to-start").unlink()
    again = await client.post("/v1/sessions?wait=ready", json={"project_path": str(path)})
    assert again.json()["status"] == "ready"


async def test_a_failed_start_gives_slot_and_path_back(
    client: httpx.AsyncClient, runtime: ProcessRuntime, project: Project
) -> None:
    paths = [project(f"broken-{n}") for n in range(3)]
    for path in paths:
        (path / "refuse-to-start").touch()
        answer = await client.post("/v1/sessions?wait=ready", json={"project_path": str(path)})
        assert answer.json()["status"] == "failed"
    fresh = await client.post(
        "/v1/sessions?wait=ready", json={"project_path": str(project("fresh"))}
    )
    assert (fresh.status_code, fresh.json()["status"]) == (201, "ready")
    (paths[2] / "refuse-to-start").unlink()
    again = await client.post("/v1/sessions?wait=ready", json={"project_path": str(paths[2])})
    assert (again.status_code, again.json()["status"]) == (201, "ready")
    listed = (await client.get("/v1/sessions")).json()["items"]
    assert sorted(each["name"] for each in listed) == ["broken-1", "broken-2", "fresh"]
    assert await runtime.running() != []


async def test_many_at_once_get_the_one_slot_that_is_left(
    client: httpx.AsyncClient, opened: Opened, project: Project
) -> None:
    await opened("alpha")
    await opened("beta")
    paths = [str(project(f"wants-{n}")) for n in range(200)]
    answers = await asyncio.gather(
        *(client.post("/v1/sessions", json={"project_path": path}) for path in paths)
    )
    (admitted,) = [answer for answer in answers if answer.status_code == 201]
    for answer in answers:
        if answer is not admitted:
            problem = assert_refused(answer, 409, "session_limit_reached")
            assert (problem["current"], problem["max"]) == (3, 3)
            assert problem["detail"].startswith("3 of 3 sessions are open: alpha, beta, wants-")
    assert len((await client.get("/v1/sessions")).json()["items"]) == 3


async def test_many_at_once_open_one_project_once_by_all_its_names(
    client: httpx.AsyncClient, runtime: ProcessRuntime, project: Project, base: Path
) -> None:
    real = project("alpha")
    (base / "projects" / "link").symlink_to("alpha")
    names = [str(real), f"{real}/", f"{base}/projects/link", f"{base}/projects/./link/."]
    answers = await asyncio.gather(
        *(client.post("/v1/sessions", json={"project_path": names[n % 4]}) for n in range(80))
    )
    (admitted,) = [answer for answer in answers if answer.status_code == 201]
    others = [answer for answer in answers if answer is not admitted]
    for answer in others:
        problem = assert_refused(answer, 409, "project_already_open")
        assert problem["session_id"] == admitted.json()["id"]


async def test_what_is_asked_wins_over_the_projects_own_settings(
    client: httpx.AsyncClient, runtime: ProcessRuntime, project: Project
) -> None:
    path = project("alpha")
    (path / ".jido_code").mkdir()
    (path / ".jido_code" / "settings.json").write_text(
        '{"model": "ollama:tiny", "temperature": 0.5, "max_tokens": 10}'
    )
    body = {"project_path": str(path), "name": "mine", "config": {"temperature": 0.0}}
    session = (await client.post("/v1/sessions", json=body)).json()
    assert session["name"] == "mine"
    assert session["config"] == {
        "provider": "ollama",
        "model": "tiny",
        "temperature": 0.0,
        "max_tokens": 10,
    }


async def test_a_projects_broken_settings_are_named(
    client: httpx.AsyncClient, runtime: ProcessRuntime, project: Project
) -> None:
    path = project("alpha")
    (path / ".jido_code").mkdir()
    (path / ".jido_code" / "settings.json").write_text('{"model": "", "temperature": 9}')
    answer = await client.post("/v1/sessions", json={"project_path": str(path)})
    assert str(path) in assert_refused(answer, 422, "invalid_settings")["detail"]
    assert (await client.get("/v1/sessions")).json() == {"items": [], "next": None}


async def test_one_session_too_many_names_those_that_run(
    client: httpx.AsyncClient, opened: Opened, project: Project
) -> None:
    running = [await opened(name) for name in ("alpha", "beta", "gamma")]
    answer = await client.post("/v1/sessions", json={"project_path": str(project("delta"))})
    problem = assert_refused(answer, 409, "session_limit_reached")
    assert (problem["current"], problem["max"]) == (3, 3)
    assert problem["sessions"] == [{"id": s["id"], "name": s["name"]} for s in running]
    listed = (await client.get("/v1/sessions")).json()["items"]
    assert [session["name"] for session in listed] == ["alpha", "beta", "gamma"]


async def test_a_project_is_open_once_whatever_its_path_is_called(
    client: httpx.AsyncClient, opened: Opened, base: Path
) -> None:
    session = await opened("alpha")
    link = base / "projects" / "link"
    link.symlink_to("alpha")
    for path in (base / "projects" / "alpha", link, f"{base}/projects//alpha/"):
        answer = await client.post("/v1/sessions", json={"project_path": str(path)})
        assert assert_refused(answer, 409, "project_already_open")["session_id"] == session["id"]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (None, "project_path_missing"),
        ("", "project_path_missing"),
        ("relative/path", "project_path_not_absolute"),
        ("/" + "x" * 4096, "project_path_too_long"),
        ("{base}/projects/nowhere", "project_path_not_found"),
        ("{base}/projects/file", "project_path_not_directory"),
        ("/etc", "project_path_not_allowed"),
        ("{base}", "project_path_not_allowed"),
        ("{base}/projects", "project_path_not_allowed"),
        ("{base}/projects/../../etc", "project_path_not_found"),
    ],
)
async def test_paths_are_refused_by_kind(
    client: httpx.AsyncClient, runtime: ProcessRuntime, base: Path, path: str | None, code: str
) -> None:
    (base / "projects" / "file").write_text("a file")
    body = {"project_path": None if path is None else path.replace("{base}", str(base))}
    assert_refused(await client.post("/v1/sessions", json=body), 422, code)


async def test_two_projects_of_one_name_show_two_names(
    client: httpx.AsyncClient, opened: Opened, base: Path
) -> None:
    await opened("alpha")
    other = base / "projects" / "deep" / "alpha"
    other.mkdir(parents=True)
    answer = await client.post("/v1/sessions", json={"project_path": str(other)})
    assert answer.json()["name"] == "alpha (2)"


async def test_a_name_taken_by_another_session_is_numbered(
    client: httpx.AsyncClient, opened: Opened
) -> None:
    first = await opened("alpha", name="mine")
    second = await opened("beta", name="mine")
    assert (first["name"], second["name"]) == ("mine", "mine (2)")
    third = await opened("gamma")
    url = f"/v1/sessions/{third['id']}"
    assert (await client.patch(url, json={"name": "mine"})).json()["name"] == "mine (3)"
    assert (await client.patch(url, json={"name": "mine (3)"})).json()["name"] == "mine (3)"


async def test_names_follow_one_rule_for_new_and_renamed(
    client: httpx.AsyncClient, opened: Opened, project: Project
) -> None:
    session = await opened("alpha")
    for name, code in (
        ("x" * 51, "name_too_long"),
        ("  ", "invalid_name"),
        ("a\x1b[2J", "invalid_name"),
        ("a\u202eb", "invalid_name"),
        ("a\u0000b", "invalid_name"),
    ):
        new = await client.post(
            "/v1/sessions", json={"project_path": str(session["project_path"]), "name": name}
        )
        renamed = await client.patch(f"/v1/sessions/{session['id']}", json={"name": name})
        assert (
            assert_refused(new, 422, code)["detail"] == assert_refused(renamed, 422, code)["detail"]
        )
    for name in ("é" * 50, "名" * 50, "a 'quoted' \"name\"", "7"):
        renamed = await client.patch(f"/v1/sessions/{session['id']}", json={"name": name})
        assert renamed.json()["name"] == name


async def test_a_model_that_lacks_its_key_is_told(
    client: httpx.AsyncClient, opened: Opened, store: Store
) -> None:
    session = await opened("alpha")
    url = f"/v1/sessions/{session['id']}"
    for provider in ("google", "google", "ollama", "anthropic"):
        assert (await client.patch(url, json={"config": {"provider": provider}})).is_success
    events = await store.events.read(session["id"], 0, 100)
    told = [e.data for e in events if e.data.get("code") == "model_not_configured"]
    assert len(told) == 2
    assert "Set GEMINI_API_KEY for the worker." in told[0]["text"]
    assert told[1]["text"].startswith("anthropic:claude-")
    assert "ANTHROPIC_API_KEY" in told[1]["text"]


async def test_a_project_may_name_a_provider_alone(
    client: httpx.AsyncClient, runtime: ProcessRuntime, project: Project
) -> None:
    path, other = project("alpha"), project("beta")
    (path / ".jido_code").mkdir()
    (path / ".jido_code" / "settings.json").write_text('{"provider": "ollama", "theme": "light"}')
    mine = (await client.post("/v1/sessions", json={"project_path": str(path)})).json()
    assert (mine["config"]["provider"], mine["config"]["model"]) == ("ollama", "qwen3-coder")
    assert mine["theme"] == "light"
    theirs = (await client.post("/v1/sessions", json={"project_path": str(other)})).json()
    assert (theirs["config"]["provider"], theirs["theme"]) == ("offline", None)


async def test_only_an_unused_session_is_closed_when_that_is_asked(
    client: httpx.AsyncClient, opened: Opened
) -> None:
    used, unused = await opened("alpha"), await opened("beta")
    await client.post(f"/v1/sessions/{used['id']}/turns", json={"prompt": "hello"})
    asked = {"save": "false", "only_empty": "true"}
    answer = await client.delete(f"/v1/sessions/{used['id']}", params=asked)
    assert_refused(answer, 409, "session_not_empty")
    assert (await client.get(f"/v1/sessions/{used['id']}")).json()["status"] == "ready"
    assert (await client.delete(f"/v1/sessions/{unused['id']}", params=asked)).status_code == 204


async def test_changes_merge_and_zero_counts(client: httpx.AsyncClient, opened: Opened) -> None:
    session = await opened("alpha", config={"temperature": 1.5, "max_tokens": 100})
    url = f"/v1/sessions/{session['id']}"
    renamed = (await client.patch(url, json={"name": "  new name "})).json()
    assert (renamed["name"], renamed["config"]["temperature"]) == ("new name", 1.5)
    zero = (await client.patch(url, json={"config": {"temperature": 0.0}})).json()
    assert zero["config"]["temperature"] == 0.0
    assert zero["config"]["max_tokens"] == 100
    model = (await client.patch(url, json={"config": {"model": "anthropic:some"}})).json()
    assert (model["config"]["provider"], model["config"]["model"]) == ("anthropic", "some")
    assert model["config"]["temperature"] == 0.0
    cleared = (await client.patch(url, json={"config": {"max_tokens": None}})).json()
    assert cleared["config"]["max_tokens"] is None
    assert (await client.get(url)).json()["config"] == cleared["config"]


async def test_a_change_is_told_once(
    client: httpx.AsyncClient, opened: Opened, store: Store
) -> None:
    session = await opened("alpha")
    url = f"/v1/sessions/{session['id']}"
    change = {"name": "beta", "config": {"temperature": 0.3}}
    for _ in range(2):
        assert (await client.patch(url, json=change)).status_code == 200
    types = [event.type for event in await store.events.read(session["id"], 0, 100)]
    assert types.count("session.renamed") == 1
    assert types.count("session.configured") == 1
    assert (await client.patch(url, json={})).json()["name"] == "beta"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"name": ""}, "invalid_name"),
        ({"name": "a\nb"}, "invalid_name"),
        ({"name": 7}, "invalid_name"),
        ({"name": "x" * 51}, "name_too_long"),
        ({"config": {"temperature": 2.1}}, "invalid_temperature"),
        ({"config": {"temperature": "hot"}}, "invalid_temperature"),
        ({"config": {"max_tokens": 0}}, "invalid_max_tokens"),
        ({"config": {"max_tokens": "many"}}, "invalid_max_tokens"),
        ({"config": {"provider": "nobody"}}, "unknown_provider"),
        ({"config": {"model": "a:b:"}, "x": 1}, "invalid_request"),
        ({"config": {"model": ""}}, "unknown_model_format"),
        ({"config": {"top_p": 1}}, "invalid_request"),
        ([], "invalid_request"),
    ],
)
async def test_changes_are_refused_by_kind(
    client: httpx.AsyncClient, opened: Opened, body: Any, code: str
) -> None:
    session = await opened("alpha")
    url = f"/v1/sessions/{session['id']}"
    assert_refused(await client.patch(url, json=body), 422, code)
    assert (await client.get(url)).json()["name"] == "alpha"


async def test_an_unknown_field_is_refused_by_name(
    client: httpx.AsyncClient, runtime: ProcessRuntime, project: Project
) -> None:
    body = {"project_path": str(project("alpha")), "colour": "red"}
    problem = assert_refused(await client.post("/v1/sessions", json=body), 422, "invalid_request")
    assert "colour" in problem["detail"]


async def test_closing_frees_slot_and_path_and_closing_twice_is_not_found(
    client: httpx.AsyncClient, opened: Opened, base: Path, runtime: ProcessRuntime
) -> None:
    session = await opened("alpha")
    url = f"/v1/sessions/{session['id']}"
    assert (await client.delete(url)).status_code == 204
    assert_refused(await client.delete(url), 404, "session_not_found")
    assert_refused(await client.get(url), 404, "session_not_found")
    assert await runtime.running() == []
    body = {"project_path": str(base / "projects" / "alpha")}
    assert (await client.post("/v1/sessions", json=body)).status_code == 201


async def test_closing_at_once_from_two_clients_ends_well(
    client: httpx.AsyncClient, opened: Opened
) -> None:
    session = await opened("alpha")
    url = f"/v1/sessions/{session['id']}"
    answers = await asyncio.gather(client.delete(url), client.delete(url))
    assert {answer.status_code for answer in answers} <= {204, 404}
    assert 204 in {answer.status_code for answer in answers}


async def test_a_restart_gives_a_fresh_sandbox(
    client: httpx.AsyncClient, opened: Opened, runtime: ProcessRuntime
) -> None:
    session = await opened("alpha")
    url = f"/v1/sessions/{session['id']}"
    before = runtime.pid(session["id"])
    answer = await client.post(f"{url}/restart")
    assert (answer.status_code, answer.json()["status"]) == (202, "restarting")
    for _ in range(500):
        if (await client.get(url)).json()["status"] == "ready":
            break
        await asyncio.sleep(0.02)
    assert runtime.pid(session["id"]) != before


@pytest.mark.parametrize(
    "hostile", ["7bf54468-e2ea-4b37-a8c4-2eca8187d479", "nonsense", "*", "%2e%2e%2fx", "a" * 3000]
)
async def test_sessions_that_do_not_exist(client: httpx.AsyncClient, hostile: str) -> None:
    url = f"/v1/sessions/{hostile}"
    for answer in (
        await client.get(url),
        await client.patch(url, json={"name": "x"}),
        await client.delete(url),
        await client.post(f"{url}/restart"),
        await client.post(f"{url}/turns", json={"prompt": "hello"}),
        await client.get(f"{url}/messages"),
        await client.get(f"{url}/todos"),
        await client.get(f"{url}/events"),
        await client.get(f"{url}/files"),
        await client.get(f"{url}/export"),
        await client.post(f"{url}/exec", json={"command": "true"}),
    ):
        if answer.json()["code"] != "not_found":
            assert_refused(answer, 404, "session_not_found")


async def test_without_a_supervisor_creation_says_so(
    services: Services, store: Store, settings: Settings, project: Project
) -> None:
    starter = Starter(store, settings, inspect_timeout_s=0.2)
    sessions = SessionService(store, starter, services.models, services.turns, services.saving)
    app = create_app(replace(services, sessions=sessions), settings, TOKEN)
    async with client_of(app, settings) as client:
        answer = await client.post("/v1/sessions", json={"project_path": str(project("alpha"))})
    assert_refused(answer, 503, "supervisor_unavailable")
