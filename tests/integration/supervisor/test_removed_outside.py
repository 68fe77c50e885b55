"""Somebody removes a sandbox behind our back: said, and made good."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.supervisor.stage import Stage


@pytest.mark.parametrize("runtime_name", ["docker"], indirect=True)
@pytest.mark.docker
async def test_a_container_removed_by_hand_comes_back(stage: Stage) -> None:
    await stage.start()
    session = await stage.open("one")
    found = await _docker("ps", "-q", "--filter", f"label=jido.session={session.id}")
    assert len(found.split()) == 1
    await _docker("rm", "-f", *found.split())

    async def crashed() -> bool:
        return "sandbox.crashed" in await stage.types(session.id)

    await stage.until(crashed, "crash noticed")
    await stage.reaches(session.id, "ready")
    assert "README.md" in await stage.sees(session.id)
    again = await _docker("ps", "-q", "--filter", f"label=jido.session={session.id}")
    assert len(again.split()) == 1
    assert again != found


async def _docker(*words: str) -> str:
    process = await asyncio.create_subprocess_exec("docker", *words, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode()
