"""What starting and leaving the client leaves behind, and what a session's model survives."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis

from orchestrator.settings import load_settings
from tests.support.model_server import ModelServer, Reply, Script
from tests.support.requirements import require_bubblewrap
from tests.support.stack import RunningStack, running_stack
from tui.app import JidoApp
from tui.found import Found

pytestmark = [pytest.mark.bubblewrap, pytest.mark.timeout(300)]


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[RunningStack]:
    require_bubblewrap()
    with running_stack(tmp_path, runtime="bubblewrap", workers="2") as stack:
        yield stack


async def _until(condition: Any, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        await asyncio.sleep(0.05)


async def _start_and_leave(stack: RunningStack, project: Path) -> None:
    app = JidoApp(lambda: Found(stack.url, stack.token), str(project))
    async with app.run_test(size=(100, 30)) as pilot:

        async def ready() -> bool:
            active = app.workspace.active
            return active is not None and active.status == "ready"

        async def left() -> bool:
            return app.return_code is not None

        await _until(ready)
        await pilot.press("ctrl+q")
        await _until(left)


def _keys(stack: RunningStack) -> dict[str, int]:
    """The store's keys that stay: without those that go by themselves."""
    socket = load_settings(home=stack.home).embedded_redis_socket
    with Redis(unix_socket_path=str(socket)) as store:
        return {
            key.decode(): store.memory_usage(key) or 0
            for key in store.scan_iter("jido:*")
            if store.pttl(key) == -1
        }


def _processes_in(project: Path) -> list[str]:
    listing = subprocess.run(["ps", "-ww", "-eo", "args="], capture_output=True, text=True)
    return [line for line in listing.stdout.splitlines() if str(project) in line]


async def test_ten_starts_and_leavings_leave_nothing_behind(stack: RunningStack) -> None:
    project = stack.project("quiet", README__md="hello\n")
    await _start_and_leave(stack, project)
    before, keys = sorted(project.rglob("*")), _keys(stack)
    for _ in range(9):
        await _start_and_leave(stack, project)
    async with stack.client() as client:
        assert (await client.get("/v1/sessions")).json()["items"] == []
        assert (await client.get("/v1/saved")).json()["items"] == []
    assert list((stack.home / "sessions").glob("*.json")) == []
    assert _processes_in(project) == []
    assert list(load_settings(home=stack.home).channel_directory.iterdir()) == []
    assert sorted(project.rglob("*")) == before
    after = _keys(stack)
    assert set(after) <= set(keys)
    # The log of all events is bounded by its length, which some sessions do not reach.
    grown = {key for key in after if after[key] > keys[key] and "events" not in key}
    assert grown == set()


async def _model_asked(model: ModelServer, client: httpx.AsyncClient, session: str) -> str:
    """Have a turn and return the name of the model that it asked."""
    answer = await client.post(f"/v1/sessions/{session}/turns", json={"prompt": "Speak."})
    assert answer.status_code == 202, answer.text
    url = f"/v1/sessions/{session}/turns/{answer.json()['id']}"

    async def over() -> bool:
        return bool((await client.get(url)).json()["status"] == "completed")

    await _until(over)
    return str(model.requests[-1].body["model"])


async def _killed_and_back(stack: RunningStack, client: httpx.AsyncClient) -> None:
    """Kill every process of the stack, each while the others run, and wait for all."""
    for word in ("valkey-server", " serve", " work", " supervise"):
        old = _child(stack, word)
        os.kill(old, signal.SIGKILL)

        async def replaced(word: str = word, old: int = old) -> bool:
            return _child(stack, word) not in (0, old)

        await _until(replaced)

    async def ready() -> bool:
        try:
            return (await client.get("/readyz")).status_code == 200
        except httpx.HTTPError:
            return False

    await _until(ready)


def _child(stack: RunningStack, word: str) -> int:
    command = ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(stack.process.pid)]
    listing = subprocess.run(command, capture_output=True, text=True).stdout
    return next((int(line.split()[0]) for line in listing.splitlines() if word in line), 0)


async def test_a_sessions_model_is_its_own_and_survives_everything(tmp_path: Path) -> None:
    require_bubblewrap()
    async with ModelServer.running(Script(replies=[Reply(text="Spoken.")])) as model:
        settings = {"runtime": "bubblewrap", "workers": "2", "model": "openai:first"}
        with running_stack(tmp_path, **settings, openai_base_url=model.base_url) as stack:
            async with stack.client() as client:
                await _follow_two_models(stack, client, model)


async def _follow_two_models(
    stack: RunningStack, client: httpx.AsyncClient, model: ModelServer
) -> None:
    ids = []
    for name in ("one", "two"):
        body = {"project_path": str(stack.project(name))}
        ids.append((await client.post("/v1/sessions?wait=ready", json=body)).json()["id"])
    changed, other = ids
    assert await _model_asked(model, client, changed) == "first"
    change = {"config": {"model": "openai:second", "temperature": 0.0, "max_tokens": 77}}
    config = (await client.patch(f"/v1/sessions/{changed}", json=change)).json()["config"]
    assert (config["model"], config["temperature"], config["max_tokens"]) == ("second", 0.0, 77)
    assert await _model_asked(model, client, changed) == "second"
    assert model.requests[-1].body["temperature"] == 0.0
    assert await _model_asked(model, client, other) == "first"
    assert "temperature" not in model.requests[-1].body

    await _killed_and_back(stack, client)
    assert (await client.get(f"/v1/sessions/{changed}")).json()["config"] == config
    assert await _model_asked(model, client, changed) == "second"
    assert await _model_asked(model, client, other) == "first"

    assert (await client.delete(f"/v1/sessions/{changed}")).status_code == 204
    resumed = await client.post(f"/v1/saved/{changed}/resume", params={"wait": "ready"})
    assert resumed.json()["config"] == config

    async def ready() -> bool:
        return bool((await client.get(f"/v1/sessions/{changed}")).json()["status"] == "ready")

    await _until(ready)
    assert await _model_asked(model, client, changed) == "second"
