"""A conversation outlives everything: closing, and the end of every process in every way."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import httpx
import pytest
import pytest_asyncio

from orchestrator.archive import document
from tests.support.command_line import CommandLine, command_line, runs, wait_until
from tests.support.model_server import Call, ModelServer, Reply, Rule, Script
from tests.support.requirements import require_bubblewrap

pytestmark = [
    pytest.mark.bubblewrap,
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("local-stack"),
]


def _run(command: str) -> Call:
    return Call(name="run_command", arguments={"command": command})


SCRIPT = Script(
    rules=[
        Rule(
            match="use a tool",
            replies=[
                Reply(text="Looking.", calls=[_run("echo from-the-tool")]),
                Reply(text="The tool has spoken."),
            ],
        ),
        Rule(
            match="do what is forbidden",
            replies=[
                Reply(calls=[_run("echo never-run")]),
                Reply(text="Then not."),
            ],
        ),
    ],
    replies=[Reply(text="On we go.")],
)


@pytest_asyncio.fixture
async def provider() -> AsyncIterator[ModelServer]:
    async with ModelServer.running(SCRIPT) as server:
        yield server


class Home:
    """The stack of one home, started and ended from an event loop."""

    def __init__(self, commands: CommandLine, provider: ModelServer) -> None:
        self.commands = commands
        self._environment = {
            "JIDO_MODEL": "openai:scripted",
            "JIDO_OPENAI_BASE_URL": provider.base_url,
            "OPENAI_API_KEY": "test",
        }

    async def up(self) -> httpx.AsyncClient:
        """Start the stack and return a client of its api."""
        arguments = ("up", "--detach", "--port", "0")
        start = partial(self.commands.run, *arguments, given=b"", **self._environment)
        done = await asyncio.to_thread(start)
        assert done.returncode == 0, done.stderr.decode()
        token = (self.commands.home / "token").read_text().strip()
        return httpx.AsyncClient(
            base_url=done.stdout.decode().split()[1],
            headers={"Authorization": f"Bearer {token}"},
            timeout=60,
        )

    async def until(self, condition: Any) -> None:
        await asyncio.to_thread(wait_until, condition, 90.0)

    async def end(self, number: int) -> None:
        """End the stack's parent by a signal and wait until nothing of it is left."""
        state = self.commands.state()
        assert state is not None
        left = [state["pid"], *self.commands.children().values()]
        os.kill(state["pid"], number)
        await self.until(lambda: not any(map(runs, left)))

    async def end_children(self, number: int) -> None:
        """End all four children at once and wait until four others run."""
        before = self.commands.children()
        assert len(before) == 4
        for pid in before.values():
            os.kill(pid, number)

        def replaced() -> bool:
            now = self.commands.children()
            return len(now) == 4 and not set(now.values()) & set(before.values())

        await self.until(replaced)

    def saved(self, session_id: str) -> dict[str, Any]:
        """Return what the file holds that an export holds too."""
        path = self.commands.home / "sessions" / f"{session_id}.json"
        header, contents = document.decode(path.read_bytes())
        messages = [e.message for e in contents.entries if e.message is not None]
        return {
            "messages": [message.model_dump(mode="json") for message in messages],
            "model_history": [e.model for e in contents.entries if e.model is not None],
            "approvals": [each.model_dump(mode="json") for each in contents.approvals],
            "prompt_history": contents.prompt_history,
            "turns": header.turns,
        }


@pytest.fixture
def home(provider: ModelServer) -> Iterator[Home]:
    require_bubblewrap()
    with command_line() as commands:
        yield Home(commands, provider)


async def _until_status(client: httpx.AsyncClient, url: str, *statuses: str) -> dict[str, Any]:
    async with asyncio.timeout(90):
        while True:
            try:
                found: dict[str, Any] = (await client.get(url)).json()
            except httpx.TransportError:
                found = {}
            if found.get("status") in statuses:
                return found
            await asyncio.sleep(0.05)


async def _turn(client: httpx.AsyncClient, url: str, prompt: str, **fields: Any) -> str:
    answer = await client.post(f"{url}/turns", json={"prompt": prompt, **fields})
    assert answer.status_code == 202, answer.text
    turn = f"{url}/turns/{answer.json()['id']}"
    await _until_status(client, turn, "completed", "awaiting_approval")
    return turn


async def _deny(client: httpx.AsyncClient, turn: str, call_id: str) -> None:
    body = {"decision": "deny", "reason": "because I say so"}
    assert (await client.post(f"{turn}/approvals/{call_id}", json=body)).status_code == 202
    await _until_status(client, turn, "completed")


async def _export(client: httpx.AsyncClient, url: str) -> dict[str, Any]:
    async with asyncio.timeout(90):
        while True:
            try:
                answer = await client.get(f"{url}/export")
            except httpx.TransportError:
                answer = httpx.Response(503)
            if answer.status_code == 200:
                document: dict[str, Any] = answer.json()
                return document
            await asyncio.sleep(0.1)


async def test_a_conversation_outlives_every_process_and_reaches_the_model_again(
    home: Home, provider: ModelServer
) -> None:
    client = await home.up()
    project = str(home.commands.project("talk"))
    body = {"project_path": project, "name": "kept"}
    session = (await client.post("/v1/sessions?wait=ready", json=body)).json()
    url = f"/v1/sessions/{session['id']}"
    await _turn(client, url, "use a tool")
    turn = await _turn(client, url, "do what is forbidden", approval="ask")
    (asked,) = (await _export(client, url))["approvals"]
    await _deny(client, turn, asked["call_id"])
    assert (await client.delete(url)).status_code == 204
    assert (await client.post(f"/v1/saved/{session['id']}/resume")).status_code == 201
    await _until_status(client, url, "ready")
    await _turn(client, url, "go on")

    sent = json.dumps(provider.requests[-1].body["messages"])
    parts = ["use a tool", "Looking.", "echo from-the-tool", '"role": "tool"', "from-the-tool"]
    parts += ["has spoken", "what is forbidden", "echo never-run", "because I say so"]
    place = 0
    for part in [*parts, "Then not.", "go on"]:
        place = sent.find(part, place)
        assert place >= 0, (part, sent)
        place += len(part)

    whole = await _export(client, url)
    assert [each["decision"] for each in whole["approvals"]] == ["deny"]
    taken = await client.post("/v1/import", json=whole)
    assert taken.status_code == 201, taken.text
    assert (await client.delete(f"/v1/saved/{taken.json()['id']}")).status_code == 204
    said = {key: whole[key] for key in home.saved(session["id"])}
    await home.until(lambda: home.saved(session["id"]) == said)
    for number in (signal.SIGTERM, signal.SIGKILL):
        await home.end_children(number)
        assert {key: (await _export(client, url))[key] for key in said} == said
        assert home.saved(session["id"]) == said
    await client.aclose()

    await home.end(signal.SIGKILL)
    assert home.saved(session["id"]) == said
    client = await home.up()
    assert {key: (await _export(client, url))[key] for key in said} == said
    await _until_status(client, url, "ready")
    await _turn(client, url, "once more")
    whole = await _export(client, url)
    said = {key: whole[key] for key in said}
    await client.aclose()

    await home.end(signal.SIGTERM)
    assert home.saved(session["id"]) == said
    client = await home.up()
    (entry,) = (await client.get("/v1/saved")).json()["items"]
    assert (entry["id"], entry["name"], entry["turns"]) == (session["id"], "kept", 4)
    assert entry["closed_at"] is not None
    assert (await client.post(f"/v1/saved/{session['id']}/resume")).status_code == 201
    assert {key: (await _export(client, url))[key] for key in said} == said
    await client.aclose()
