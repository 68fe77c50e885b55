"""The store is killed and comes back: turns go on, and nothing that was acknowledged is lost."""

from __future__ import annotations

import asyncio
from pathlib import Path

from orchestrator.settings import load_settings
from orchestrator.store.facade import Store
from tests.integration.worker.stage import Stage, WorkerProcess, until
from tests.support.toolserver import ToolServer
from tests.support.valkey import Server


async def test_turns_survive_a_store_that_is_killed(
    home: Path, tools: ToolServer, server_to_kill: Server
) -> None:
    settings = load_settings(home=home, redis_url=server_to_kill.url)
    environment = {"JIDO_REDIS_URL": server_to_kill.url, "JIDO_WORKERS": "2"}
    worker = WorkerProcess(home, environment, home / "restart.log")
    try:
        async with Store.open(server_to_kill.url) as store:
            stage = Stage(settings, store, home / "restart.log")
            session = await stage.session(tools)
            steps = "\n".join(f"run echo {i} >> log; sleep 0.3" for i in range(10))
            turn = await stage.prompt(session, steps)
            log = tools.root / "log"
            await until(lambda: log.exists() and len(log.read_text()) >= 4, "two steps", 60)
            server_to_kill.kill()
            await asyncio.sleep(1)
            server_to_kill.start()
            ended = await stage.over(turn, 60)
            assert (ended.status, ended.error) == ("completed", None)
            assert log.read_text().split() == [str(i) for i in range(10)]
            events = await stage.events(session)
            assert [event.seq for event in events] == list(range(1, len(events) + 1))
            assert sum(event.type == "tool.result" for event in events) == 10
            after = await stage.over(await stage.prompt(session, "say on we go"), 60)
            assert after.status == "completed"
    finally:
        worker.stop()
