"""How turns end when somebody cancels, or a process or the store goes away."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from orchestrator.domain.history import Answer
from orchestrator.domain.turn import TurnLimits
from orchestrator.services.turns import TurnService
from orchestrator.store import keys
from tests.integration.worker.conftest import StartWorker
from tests.integration.worker.stage import Stage, alive, children_of, until
from tests.support.toolserver import ToolServer
from tests.support.valkey import Server

BUSY = "run echo $$ > pid; sleep 300\nrun touch repeated"


async def _busy(stage: Stage, tools: ToolServer) -> Path:
    pid = tools.root / "pid"
    await until(lambda: pid.exists() and pid.read_text().strip(), "the command runs")
    return pid


async def test_cancel_kills_the_command_within_a_moment(
    stage: Stage, tools: ToolServer, start_worker: StartWorker
) -> None:
    start_worker()
    session = await stage.session(tools)
    turn = await stage.prompt(session, BUSY)
    pid = int((await _busy(stage, tools)).read_text())
    await TurnService(stage.store).cancel(session.id, turn.id)
    assert (await stage.over(turn, 5)).status == "cancelled"
    await until(lambda: not alive(pid), "the command is gone", 5)
    results = [e for e in await stage.events(session) if e.type == "tool.result"]
    assert [e.data["status"] for e in results] == ["cancelled"]
    after = await stage.over(await stage.prompt(session, "say still here"))
    assert after.status == "completed"
    assert not (tools.root / "repeated").exists()


async def test_termination_interrupts_cleanly_and_leaves_no_process(
    stage: Stage, tools: ToolServer, start_worker: StartWorker
) -> None:
    worker = start_worker()
    session = await stage.session(tools)
    turn = await stage.prompt(session, BUSY)
    pid = int((await _busy(stage, tools)).read_text())
    processes = worker.descendants()
    assert worker.stop() == 0
    ended = await stage.store.turns.get(session.id, turn.id)
    assert ended.status == "interrupted"
    assert not [p for p in processes if alive(p)]
    await until(lambda: not alive(pid), "the command is gone", 5)
    saved = stage.settings.home / "sessions" / f"{session.id}.json"
    assert saved.exists()
    start_worker()
    after = await stage.over(await stage.prompt(session, "say on we go"))
    assert after.status == "completed"
    assert not (tools.root / "repeated").exists()


async def test_a_killed_worker_is_interrupted_by_the_sweep_and_not_repeated(
    stage: Stage, tools: ToolServer, start_worker: StartWorker
) -> None:
    worker = start_worker()
    session = await stage.session(tools)
    turn = await stage.prompt(session, BUSY)
    following = await stage.prompt(session, "say the next one")
    await _busy(stage, tools)
    for process in children_of(worker.pid):
        os.kill(process, signal.SIGKILL)
    assert (await stage.over(turn, 25)).status == "interrupted"
    assert (await stage.over(following)).status == "completed"
    results = [e for e in await stage.events(session) if e.type == "tool.result"]
    assert results[0].data["status"] == "interrupted"
    assert not (tools.root / "repeated").exists()


async def test_a_worker_that_lost_its_lease_stops_and_writes_nothing_more(
    stage: Stage, tools: ToolServer, start_worker: StartWorker, valkey_server: Server
) -> None:
    start_worker()
    session = await stage.session(tools)
    turn = await stage.prompt(session, BUSY)
    pid = int((await _busy(stage, tools)).read_text())
    with valkey_server.client() as client:
        assert client.delete(keys.lease(turn.id)) == 1
    assert (await stage.over(turn, 25)).status == "interrupted"
    await until(lambda: not alive(pid), "the command is gone", 10)
    after = await stage.over(await stage.prompt(session, "say on we go"))
    assert after.status == "completed"
    results = [e for e in await stage.events(session) if e.type == "tool.result"]
    assert [e.data["status"] for e in results] == ["interrupted"]
    assert not (tools.root / "repeated").exists()


async def test_a_killed_parent_takes_its_processes_along_and_another_goes_on(
    stage: Stage, tools: ToolServer, start_worker: StartWorker
) -> None:
    first = start_worker()
    session = await stage.session(tools)
    turn = await stage.prompt(session, BUSY)
    await _busy(stage, tools)
    processes = first.descendants()
    first.stop(signal.SIGKILL)
    await until(lambda: not [p for p in processes if alive(p)], "nothing is left", 25)
    start_worker()
    assert (await stage.over(turn, 25)).status == "interrupted"
    after = await stage.over(await stage.prompt(session, "say on we go"))
    assert after.status == "completed"


async def test_a_killed_worker_is_started_again(
    stage: Stage, tools: ToolServer, start_worker: StartWorker
) -> None:
    worker = start_worker(workers=1)
    session = await stage.session(tools)
    await stage.over(await stage.prompt(session, "say one"))
    for process in children_of(worker.pid):
        os.kill(process, signal.SIGKILL)
    assert (await stage.over(await stage.prompt(session, "say two"))).status == "completed"


async def test_a_turn_waits_for_answers_without_a_worker_and_goes_on(
    stage: Stage, tools: ToolServer, start_worker: StartWorker
) -> None:
    start_worker(workers=1)
    session = await stage.session(tools)
    service = TurnService(stage.store)
    limits = TurnLimits(approval="ask")
    turn = await stage.prompt(session, "run echo one > a\nrun echo two > b", limits)
    await stage.status(turn, "awaiting_approval")
    asked = await stage.seen(session, "approval.requested")
    assert asked.data["tool"] == "run_command"
    assert not (tools.root / "a").exists()
    await service.answer(session.id, turn.id, asked.data["call_id"], "session", None)
    ended = await stage.over(turn)
    assert ended.status == "completed"
    assert (tools.root / "b").read_text() == "two\n"
    answers = await stage.store.turns.answers(session.id, turn.id)
    assert list(answers.values()) == [Answer(decision="session")]


@pytest.mark.parametrize(("approval", "asks"), [("ask", True), ("edits", True), (None, False)])
async def test_what_a_trusted_project_says_about_approval_counts(
    stage: Stage, tools: ToolServer, start_worker: StartWorker, approval: str | None, asks: bool
) -> None:
    start_worker(workers=1)
    session = await stage.session(tools, approval=approval)
    turn = await stage.prompt(session, "run echo one > a")
    await stage.status(turn, "awaiting_approval" if asks else "completed")
    assert (tools.root / "a").exists() is not asks


async def test_cancelling_a_question_ends_the_turn(
    stage: Stage, tools: ToolServer, start_worker: StartWorker
) -> None:
    start_worker(workers=1)
    session = await stage.session(tools)
    turn = await stage.prompt(session, "run echo one > a", TurnLimits(approval="ask"))
    await stage.status(turn, "awaiting_approval")
    await TurnService(stage.store).cancel(session.id, turn.id)
    assert (await stage.over(turn)).status == "cancelled"
    after = await stage.over(await stage.prompt(session, "say hi"))
    assert after.status == "completed"
    assert not (tools.root / "a").exists()


async def test_ten_sessions_at_once_each_see_their_own_project(
    stage: Stage, start_worker: StartWorker
) -> None:
    start_worker(workers=10)
    servers = [ToolServer.start() for _ in range(10)]
    try:
        sessions = [await stage.session(server) for server in servers]
        turns = await asyncio.gather(
            *[
                stage.prompt(session, f"write mine.txt {session.id}\nrun cat mine.txt; ls")
                for session in sessions
            ]
        )
        for turn in turns:
            assert (await stage.over(turn, 60)).status == "completed"
        for session, server in zip(sessions, servers, strict=True):
            assert (server.root / "mine.txt").read_text() == f"{session.id}\n"
            own = [p.name for p in server.root.iterdir() if not p.name.startswith(".jido")]
            assert own == ["mine.txt"]
    finally:
        for server in servers:
            server.stop()
