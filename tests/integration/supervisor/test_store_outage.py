"""A store that dies: sandboxes run on, and what was acknowledged is done afterwards."""

from __future__ import annotations

import asyncio
from pathlib import Path

from orchestrator.store.facade import Store
from tests.integration.supervisor.conftest import end_sandboxes
from tests.integration.supervisor.stage import Stage
from tests.support.valkey import Server


async def test_a_store_that_dies_and_returns_costs_no_sandbox(
    base: Path, server_to_kill: Server, runtime_name: str, own_logging: None
) -> None:
    async with Store.open(server_to_kill.url) as store:
        stage = Stage(base, store, server_to_kill.url, runtime_name)
        await stage.start()
        try:
            kept = await stage.open("kept")
            waiting = await stage.claim(stage.project("waiting"))
            server_to_kill.kill()
            await asyncio.sleep(1.0)
            server_to_kill.start()
            await stage.reaches(waiting.id, "ready")
            assert "README.md" in await stage.sees(kept.id)
            assert await stage.types(kept.id) == ["session.created", "session.ready"]
            await stage.close(kept.id)
            assert await stage.alive() == {waiting.id}
        finally:
            await stage.stop()
            await end_sandboxes(stage)
