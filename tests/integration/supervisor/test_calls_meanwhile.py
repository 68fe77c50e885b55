"""A client's calls while the sandbox's channel is away for a moment."""

from __future__ import annotations

import asyncio
import subprocess
import time

import pytest

from orchestrator.domain.errors import JidoError
from orchestrator.sandboxes.connecting import PATIENCE_S
from orchestrator.sandboxes.errors import ChannelClosed
from orchestrator.sandboxes.workspace import SandboxWorkspace
from orchestrator.services.execution import ExecutionService
from tests.integration.supervisor.stage import Stage


async def test_a_call_waits_for_a_restarting_supervisor(stage: Stage) -> None:
    await stage.start()
    session = await stage.open("calm")
    path = str(stage.settings.channel_path(session.id))
    await stage.stop()
    coming = asyncio.create_task(stage.start())
    execution = ExecutionService(stage.store, stage.settings)
    assert (await execution.lua(session.id, "return 1 + 1", None)).value == 2
    await coming
    workspace = SandboxWorkspace(path, session.id)
    assert (await workspace.run(["echo", "here"])).stdout == "here\n"
    await workspace.aclose()


async def test_a_call_waits_for_a_restarting_sandbox(stage: Stage) -> None:
    await stage.start()
    session = await stage.open("fresh")
    await stage.restart(session.id)
    execution = ExecutionService(stage.store, stage.settings)
    assert (await execution.lua(session.id, "return 1 + 1", None)).ok


async def test_a_channel_that_stays_away_is_refused_in_time(stage: Stage) -> None:
    await stage.start()
    session = await stage.open("gone")
    await stage.stop()
    stage.settings.channel_path(session.id).unlink(missing_ok=True)
    execution = ExecutionService(stage.store, stage.settings)
    began = time.monotonic()
    with pytest.raises(JidoError) as refusal:
        await execution.lua(session.id, "return 1", None)
    assert isinstance(refusal.value, ChannelClosed)
    assert 0.5 * PATIENCE_S < time.monotonic() - began < PATIENCE_S + 2


async def test_changes_are_those_since_the_session_began(stage: Stage) -> None:
    project = stage.project("diff")
    for words in (["init", "--quiet"], ["add", "--all"]):
        await asyncio.to_thread(subprocess.run, ["git", *words], cwd=project, check=True)
    (project / "mine").write_text("before\n")
    await stage.start()
    session = await stage.claim(project)
    await stage.reaches(session.id, "ready")
    execution = ExecutionService(stage.store, stage.settings)
    assert (await execution.diff(session.id)).files == []
    script = "jido.write_file('made', 'inside') jido.write_file('mine', 'after')"
    assert (await execution.lua(session.id, script, None)).ok
    await stage.restart(session.id)
    changed = await execution.diff(session.id)
    assert [(c.path, c.status) for c in changed.files] == [("made", "added"), ("mine", "modified")]
