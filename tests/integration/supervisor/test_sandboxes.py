"""What is wanted becomes true: started, separate, restarted, ended, refused."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import redis

from orchestrator.domain.session import Session
from orchestrator.store import keys
from orchestrator.supervisor.plan import CLOSING_TIMEOUT
from tests.integration.supervisor.stage import Stage
from tests.support.sandboxes import ordinary_owner


async def test_a_claimed_session_becomes_ready_and_its_channel_answers(stage: Stage) -> None:
    await stage.start()
    session = await stage.open("one")
    assert session.runtime == stage.runtime
    assert "README.md" in await stage.sees(session.id)
    assert await stage.types(session.id) == ["session.created", "session.ready"]
    ready = (await stage.events(session.id))[-1]
    assert ready.data["session"]["status"] == "ready"


async def test_sessions_start_side_by_side_and_see_their_own_files_only(stage: Stage) -> None:
    await stage.start()
    names = [f"project{number}" for number in range(4)]
    sessions = await asyncio.gather(*(stage.open(name) for name in names))
    for name, session in zip(names, sessions, strict=True):
        (stage.base / "projects" / name / f"only-{name}").touch()
        seen = await stage.sees(session.id)
        assert [each for each in seen if each.startswith("only-")] == [f"only-{name}"]


async def test_closing_ends_the_sandbox_and_frees_slot_and_path(stage: Stage) -> None:
    await stage.start()
    session = await stage.open("one")
    await stage.close(session.id)
    assert not stage.settings.channel_path(session.id).exists()
    assert session.id not in await stage.alive()
    again = await stage.claim(Path(session.project_path))
    await stage.reaches(again.id, "ready")
    assert (await stage.types(session.id))[-1] == "session.closed"


async def test_closing_while_starting_leaves_nothing(stage: Stage) -> None:
    await stage.start()
    await stage.open("other")
    session = await stage.claim(stage.project("one"))
    await stage.close(session.id)
    assert "session.ready" not in await stage.types(session.id)
    assert not stage.settings.channel_path(session.id).exists()
    assert session.id not in await stage.alive()


async def test_a_session_whose_closing_nobody_finishes_lives_on(stage: Stage) -> None:
    """As after an api that was killed before it had saved the session."""
    await stage.start()
    session = await stage.open("one")
    long_ago = datetime.now(UTC) - CLOSING_TIMEOUT - timedelta(seconds=1)
    record = session.model_copy(update={"status": "closing", "updated_at": long_ago})
    with redis.Redis.from_url(stage.redis_url) as connection:
        connection.hset(keys.session(session.id), "record", record.model_dump_json())
    assert (await stage.reaches(session.id, "ready")).status == "ready"
    assert "README.md" in await stage.sees(session.id)
    assert await stage.types(session.id) == ["session.created", "session.ready", "session.ready"]


async def test_a_restart_makes_a_fresh_sandbox_once(stage: Stage) -> None:
    await stage.start()
    session = await stage.open("one")
    await stage.restart(session.id)
    await stage.reaches(session.id, "ready")
    assert "README.md" in await stage.sees(session.id)
    await asyncio.sleep(0.5)
    assert (await stage.types(session.id)).count("session.ready") == 2


async def test_a_sandbox_that_ends_is_started_again(stage: Stage) -> None:
    await stage.start()
    session = await stage.open("one")
    await stage.kill_sandbox(session.id)
    await stage.until(lambda: _has(stage, session, "sandbox.crashed"), "crash")
    await stage.reaches(session.id, "ready")
    assert "README.md" in await stage.sees(session.id)
    assert await stage.types(session.id) == [
        "session.created",
        "session.ready",
        "sandbox.crashed",
        "session.restarting",
        "session.ready",
    ]


async def test_a_sandbox_that_ends_too_often_is_given_up_and_can_be_restarted(
    stage: Stage,
) -> None:
    await stage.start()
    session = await stage.open("one")
    for number in range(1, 4):
        await stage.kill_sandbox(session.id)
        await stage.until(partial(_count, stage, session, number), f"crash {number}")
        await stage.reaches(session.id, "ready")
    await stage.kill_sandbox(session.id)
    failed = await stage.reaches(session.id, "failed")
    assert "Restart it" in (failed.error or "")
    assert (await stage.types(session.id))[-2:] == ["sandbox.crashed", "session.failed"]
    await stage.restart(session.id)
    revived = await stage.reaches(session.id, "ready")
    assert revived.error is None
    await stage.close(session.id)


async def test_a_start_that_fails_says_why_and_can_be_closed(stage: Stage) -> None:
    await stage.start()
    # Neither runtime starts a sandbox that may have no process.
    session = await stage.claim(stage.project("one"), pids=0)
    failed = await stage.reaches(session.id, "failed")
    assert failed.error
    assert await stage.types(session.id) == ["session.created", "session.failed"]
    await stage.close(session.id)
    again = await stage.claim(Path(session.project_path))
    await stage.reaches(again.id, "ready")


async def test_a_project_replaced_by_a_link_is_not_mounted(stage: Stage) -> None:
    await stage.start()
    session = await stage.open("one")
    project = Path(session.project_path)
    project.rename(project.with_name("moved"))
    project.symlink_to("/etc")
    await stage.restart(session.id)
    failed = await stage.reaches(session.id, "failed")
    assert "leads somewhere else" in (failed.error or "")
    assert session.id not in await stage.alive()


async def test_killing_the_supervisor_ends_no_sandbox(stage: Stage) -> None:
    await stage.start_process()
    session = await stage.open("one")
    for _ in range(2):
        await stage.kill()
        await stage.start_process()
        await stage.until(partial(stage.reachable, session.id), "adoption")
    assert "README.md" in await stage.sees(session.id)
    assert await stage.types(session.id) == ["session.created", "session.ready"]
    await stage.close(session.id)
    assert not stage.settings.channel_path(session.id).exists()
    assert session.id not in await stage.alive()


async def test_a_sandbox_that_ended_meanwhile_is_started_again(stage: Stage) -> None:
    await stage.start_process()
    session = await stage.open("one")
    if stage.runtime == "bubblewrap":
        await stage.kill()
        await stage.kill_sandbox(session.id)
    else:
        # Its channel ends with the supervisor, so the sandbox goes just before.
        await stage.kill_sandbox(session.id)
        await stage.kill()
    await stage.start()
    await stage.announced()
    await stage.until(lambda: _has(stage, session, "sandbox.crashed"), "crash")
    await stage.reaches(session.id, "ready")
    assert "README.md" in await stage.sees(session.id)


async def test_work_that_came_while_no_supervisor_ran_is_done(stage: Stage) -> None:
    await stage.start_process()
    closed = await stage.open("closed")
    await stage.kill()
    opened = await stage.claim(stage.project("opened"))
    await stage.ask_to_close(closed.id)
    await stage.start()
    await stage.gone(closed.id)
    await stage.reaches(opened.id, "ready")
    assert await stage.alive() == {opened.id}


async def test_sandboxes_of_unknown_sessions_are_reaped(stage: Stage) -> None:
    await stage.start()
    kept = await stage.open("kept")
    lost = await stage.open("lost")
    await stage.stop()
    await stage.store.sessions.remove(lost.id, [])

    async def reaped() -> bool:
        return await stage.alive() == {kept.id}

    assert await stage.alive() == {kept.id, lost.id}
    await stage.start()
    await stage.until(reaped, "orphan gone")
    await stage.until(partial(stage.reachable, kept.id), "adoption")
    assert "README.md" in await stage.sees(kept.id)


async def _has(stage: Stage, session: Session, kind: str) -> bool:
    return kind in await stage.types(session.id)


async def _count(stage: Stage, session: Session, crashes: int) -> bool:
    return (await stage.types(session.id)).count("sandbox.crashed") == crashes


async def test_a_project_that_cannot_be_written_is_open_and_says_so(stage: Stage) -> None:
    await stage.start()
    project = stage.project("one")
    stage.base.chmod(0o711)
    os.chown(project, *ordinary_owner())
    project.chmod(0o555)
    before = project.stat()
    session = await stage.claim(project)
    await stage.reaches(session.id, "ready")
    types = await stage.types(session.id)
    assert types == ["session.created", "notice", "session.ready"]
    (told,) = [event for event in await stage.events(session.id) if event.type == "notice"]
    assert (told.data["level"], told.data["code"]) == ("info", "project_read_only")
    assert [path.name for path in project.iterdir()] == ["README.md"]
    after = project.stat()
    assert (after.st_mtime_ns, after.st_ctime_ns) == (before.st_mtime_ns, before.st_ctime_ns)
    await stage.close(session.id)
    project.chmod(0o755)
    again = await stage.claim(project)
    await stage.reaches(again.id, "ready")
    assert "notice" not in await stage.types(again.id)
