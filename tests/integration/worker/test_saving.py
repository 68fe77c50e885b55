"""Workers save after each turn, what was missed, and at their end; one of them cleans up."""

from __future__ import annotations

import os
import signal
from datetime import timedelta

from orchestrator.archive.archive import Archive
from orchestrator.domain.session import Session
from orchestrator.services.clock import now
from orchestrator.services.saving import contents_of as kept_of
from tests.integration.worker.conftest import StartWorker
from tests.integration.worker.stage import Stage, children_of, until
from tests.support.toolserver import ToolServer
from tests.unit.archive.conftest import contents_of, header_of


async def _is_saved_whole(stage: Stage, session: Session) -> bool:
    """Say whether the file holds exactly what the store holds."""
    archive = Archive(stage.settings.home)
    if not await archive.exists(session.id):
        return False
    live, conversation = await stage.store.history.snapshot(session.id)
    header, contents = await archive.load(session.id)
    return contents == kept_of(conversation) and header.usage == live.usage


async def test_a_killed_worker_costs_no_word_of_what_is_saved(
    stage: Stage, tools: ToolServer, start_worker: StartWorker
) -> None:
    worker = start_worker()
    session = await stage.session(tools)
    await stage.over(await stage.prompt(session, "say first"))
    await until(lambda: _is_saved_whole(stage, session), "the first turn is saved")
    turn = await stage.prompt(session, "say second\nrun echo $$ > pid; sleep 300")
    pid = tools.root / "pid"
    await until(lambda: pid.exists() and pid.read_text().strip(), "the command runs")
    for each in (*worker.descendants(), worker.pid):
        os.kill(each, signal.SIGKILL)
    start_worker()
    assert (await stage.over(turn)).status == "interrupted"
    await until(lambda: _is_saved_whole(stage, session), "the interruption is saved")
    assert (await Archive(stage.settings.home).load(session.id))[0].turns == 2


async def test_what_changed_outside_a_turn_is_saved_at_the_end_of_the_workers(
    stage: Stage, tools: ToolServer, start_worker: StartWorker
) -> None:
    worker = start_worker()
    session = await stage.session(tools)
    await stage.over(await stage.prompt(session, "say first"))
    await until(lambda: _is_saved_whole(stage, session), "the turn is saved")
    # The caretaker may not look again before it is asked to end: only its last look can see this.
    caretakers = children_of(worker.pid)
    for each in caretakers:
        os.kill(each, signal.SIGSTOP)
    await stage.store.sessions.update(
        session.id,
        lambda s: s.model_copy(update={"name": "renamed", "updated_at": now()}),
        lambda _a, _b: [],
    )
    for each in caretakers:
        os.kill(each, signal.SIGCONT)
    assert worker.stop() == 0
    header, _ = await Archive(stage.settings.home).load(session.id)
    assert header.name == "renamed"


async def test_a_turn_that_waits_for_approval_is_saved_with_its_question(
    stage: Stage, tools: ToolServer, start_worker: StartWorker
) -> None:
    start_worker()
    session = await stage.session(tools, approval="ask")
    turn = await stage.prompt(session, "run true")
    await stage.status(turn, "awaiting_approval")
    await until(lambda: _is_saved_whole(stage, session), "the question is saved")
    _, contents = await Archive(stage.settings.home).load(session.id)
    (asked,) = contents.approvals
    assert (asked.turn_id, asked.tool, asked.decision) == (turn.id, "run_command", None)
    await stage.store.turns.answer(session.id, turn.id, asked.call_id, "deny", "no")
    assert (await stage.over(turn)).status == "completed"
    await until(lambda: _is_saved_whole(stage, session), "the answer is saved")
    _, contents = await Archive(stage.settings.home).load(session.id)
    assert [(a.decision, a.answer_reason) for a in contents.approvals] == [("deny", "no")]


async def test_the_worker_cleans_up_as_its_settings_say(
    stage: Stage, start_worker: StartWorker
) -> None:
    archive = Archive(stage.settings.home)
    for name, days in (("fresh", 1), ("old", 40)):
        header = header_of(name).model_copy(update={"updated_at": now() - timedelta(days=days)})
        await archive.save(header, contents_of("hello"))
    start_worker(JIDO_SAVED_MAX_AGE_DAYS="30")

    async def is_gone() -> bool:
        return "old" not in [entry.name for entry in await archive.listing()]

    await until(is_gone, "the old session is deleted")
    assert "fresh" in [entry.name for entry in await archive.listing()]
