"""Ten sessions at once, each on its own project, each with a turn in flight."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.model_server import Call, ModelServer, Reply, Script
from tests.support.requirements import require_bubblewrap, require_docker
from tests.support.stack import RunningStack, events, running_stack

TEN = range(10)


@pytest.fixture(
    params=[
        pytest.param("docker", marks=pytest.mark.docker),
        pytest.param("bubblewrap", marks=pytest.mark.bubblewrap),
    ]
)
def runtime(request: pytest.FixtureRequest) -> str:
    """Each runtime that this machine has."""
    name = str(request.param)
    (require_docker if name == "docker" else require_bubblewrap)()
    return name


def script() -> Script:
    """Every session reads its file and looks around for the others', then writes what it saw."""
    look = "cat mine.txt > seen.txt; ls .. >> seen.txt; cat ../*/mine.txt >> all.txt 2>&1; true"
    return Script(
        replies=[
            Reply(calls=[Call(name="run_command", arguments={"command": look})], delay_s=3),
            Reply(text="I have looked.", chunk_delay_s=0.02),
        ]
    )


@pytest.mark.timeout(300)
async def test_ten_turns_in_flight_see_their_own_files_only(runtime: str, tmp_path: Path) -> None:
    async with ModelServer.running(script()) as model:
        settings = {
            "runtime": runtime,
            "model": "openai:scripted",
            "openai_base_url": model.base_url,
        }
        with running_stack(tmp_path, **settings) as stack:
            async with stack.client() as client:
                await _ten_sessions(stack, client)


async def _ten_sessions(stack: RunningStack, client: httpx.AsyncClient) -> None:
    projects = [stack.project(f"p{n}", mine__txt=f"content {n}\n") for n in TEN]
    sessions = await asyncio.gather(*(_create(client, project) for project in projects))

    refused = await client.post(
        "/v1/sessions", json={"project_path": str(stack.project("eleventh"))}
    )
    assert refused.status_code == 409, refused.text
    problem = refused.json()
    assert problem["code"] == "session_limit_reached"
    assert (problem["current"], problem["max"]) == (10, 10)
    assert {each["id"] for each in problem["sessions"]} == {each["id"] for each in sessions}

    followers = [asyncio.create_task(_until_over(client, each["id"])) for each in sessions]
    for each in sessions:
        answer = await client.post(f"/v1/sessions/{each['id']}/turns", json={"prompt": "Look."})
        assert answer.status_code == 202, answer.text
    at_work = await _all_at_work(client)
    stories = await asyncio.gather(*followers)

    assert at_work, "the ten turns never ran at the same time"
    for number, (project, story) in enumerate(zip(projects, stories, strict=True)):
        assert [event["seq"] for event in story] == list(range(1, len(story) + 1))
        assert story[-1]["type"] == "turn.completed", story[-1]
        assert (project / "seen.txt").read_text() == f"content {number}\np{number}\n"
        assert (project / "all.txt").read_text() == f"content {number}\n"
    for each in sessions:
        assert (await client.delete(f"/v1/sessions/{each['id']}")).status_code == 204
    assert (await client.get("/v1/sessions")).json()["items"] == []


async def _create(client: httpx.AsyncClient, project: Path) -> dict[str, Any]:
    answer = await client.post(
        "/v1/sessions", params={"wait": "ready"}, json={"project_path": str(project)}
    )
    assert answer.status_code == 201, answer.text
    session: dict[str, Any] = answer.json()
    assert session["status"] == "ready", session
    return session


async def _all_at_work(client: httpx.AsyncClient) -> bool:
    """Say whether all ten were seen at work at one moment."""
    for _ in range(300):
        items = (await client.get("/v1/sessions")).json()["items"]
        if all(each["activity"] == "working" for each in items):
            return True
        await asyncio.sleep(0.05)
    return False


async def _until_over(client: httpx.AsyncClient, session_id: str) -> list[dict[str, Any]]:
    story = []
    async with events(client, session_id) as stream:
        async for event in stream:
            story.append(event)
            if event["type"] in ("turn.completed", "turn.failed", "turn.interrupted"):
                return story
    return story


@pytest.fixture(autouse=True)
def _leaves_nothing(tmp_path: Path) -> Iterator[None]:
    yield
    assert not list((tmp_path / "jido").glob("stack.json"))
