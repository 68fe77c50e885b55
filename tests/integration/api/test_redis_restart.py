"""Redis is killed and comes back under an open event stream."""

from __future__ import annotations

import asyncio
from pathlib import Path

from orchestrator.api.app import create_app
from orchestrator.domain.events import NewEvent
from orchestrator.domain.ids import new_id
from orchestrator.services.bundle import build_services
from orchestrator.settings import load_settings
from orchestrator.store.facade import Store
from tests.integration.api.answers import frames
from tests.integration.api.conftest import TOKEN, client_of
from tests.support.process_runtime import ProcessRuntime
from tests.support.supervision import supervised
from tests.support.valkey import Server


def notice(text: str) -> NewEvent:
    return NewEvent(type="notice", data={"level": "info", "code": "test", "text": text})


async def test_a_stream_goes_on_and_loses_nothing(base: Path, server_to_kill: Server) -> None:
    path = base / "projects" / "alpha"
    path.mkdir()
    settings = load_settings(
        home=base / "home",
        redis_url=server_to_kill.url,
        project_roots=str(base / "projects"),
        run_directory=base / "run",
        model="offline:demo",
        port=0,
    )
    async with (
        Store.open(server_to_kill.url) as store,
        supervised(settings, store, ProcessRuntime(new_id())),
        client_of(create_app(build_services(store, settings), settings, TOKEN), settings) as client,
    ):
        body = {"project_path": str(path)}
        session = (await client.post("/v1/sessions?wait=ready", json=body)).json()
        last = session["last_seq"]
        url = f"/v1/sessions/{session['id']}/events"
        async with client.stream("GET", url, params={"after": last}) as answer:
            stream = frames(answer)
            async with asyncio.timeout(60):
                await store.events.append(session["id"], [notice("before")])
                assert (await anext(stream)).id == str(last + 1)
                server_to_kill.kill()
                await asyncio.sleep(0.3)
                await asyncio.to_thread(server_to_kill.start)
                await store.events.append(session["id"], [notice("after"), notice("and more")])
                assert [(await anext(stream)).id for _ in range(2)] == [
                    str(last + 2),
                    str(last + 3),
                ]
        assert (await client.get(url.removesuffix("/events"))).json()["status"] == "ready"
