"""The supervisor's rules without a sandbox: the plan, restarts, one at a time, the lock."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.errors import InvalidSettings
from orchestrator.domain.ids import is_id, new_id
from orchestrator.domain.models import SessionConfig
from orchestrator.domain.session import Session, SessionStatus
from orchestrator.store.intents import SandboxIntent
from orchestrator.supervisor.instance import SupervisorRunning, make_private, own_instance
from orchestrator.supervisor.plan import CLOSING_TIMEOUT, Action, decide
from orchestrator.supervisor.restarts import RestartBudget
from orchestrator.supervisor.serial import SerialTasks

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _session(status: SessionStatus, age: timedelta = timedelta(0)) -> Session:
    moment = NOW - age
    return Session(
        id=new_id(),
        name="one",
        project_path="/p",
        config=SessionConfig(),
        status=status,
        created_at=moment,
        updated_at=moment,
    )


def _intent(**changes: Any) -> SandboxIntent:
    given: dict[str, Any] = {
        "session_id": new_id(),
        "project_path": "/p",
        "owner_uid": 1,
        "owner_gid": 1,
        "image": "i",
        "memory_bytes": 1,
        "cpus": 1,
        "pids": 1,
    }
    return SandboxIntent(**(given | changes))


@pytest.mark.parametrize(
    ("status", "served", "ended", "action"),
    [
        ("starting", None, False, "start"),
        ("starting", 2, False, "start"),
        ("ready", 2, False, "nothing"),
        ("ready", 1, False, "replace"),
        ("ready", None, False, "adopt"),
        ("ready", 2, True, "crash"),
        ("ready", None, True, "crash"),
        ("restarting", None, False, "replace"),
        ("restarting", 2, True, "replace"),
        ("failed", None, False, "nothing"),
        ("failed", 2, False, "stop"),
        ("closing", 2, False, "nothing"),
        ("closing", 2, True, "nothing"),
    ],
)
def test_the_plan(status: SessionStatus, served: int | None, ended: bool, action: Action) -> None:
    intent, session = _intent(generation=2), _session(status)
    assert decide(intent, session, served=served, ended=ended, now=NOW) == action


@pytest.mark.parametrize("status", ["starting", "ready", "restarting", "failed", "closing"])
def test_what_is_to_go_goes_whatever_it_does(status: SessionStatus) -> None:
    intent = _intent(desired="stopped")
    assert decide(intent, _session(status), served=1, ended=True, now=NOW) == "remove"


def test_a_closing_that_nobody_finishes_is_given_up() -> None:
    session = _session("closing", age=CLOSING_TIMEOUT + timedelta(seconds=1))
    assert decide(_intent(), session, served=1, ended=False, now=NOW) == "reopen"


def test_restarts_wait_longer_and_are_bounded_within_the_window() -> None:
    budget = RestartBudget(maximum=3, window_s=60)
    assert [budget.take(now) for now in (0, 1, 2, 3)] == [0.0, 0.25, 0.5, None]
    assert budget.take(60.5) == 0.5
    assert budget.take(60.6) is None
    budget.reset()
    assert budget.take(60.7) == 0.0


def test_a_budget_of_none() -> None:
    assert RestartBudget(maximum=0).take(0) is None


async def _idle(tasks: SerialTasks, *keys: str) -> None:
    async with asyncio.timeout(5):
        while any(map(tasks.busy, keys)):  # noqa: ASYNC110  (nothing tells the end of work)
            await asyncio.sleep(0.001)


async def test_work_on_one_key_never_overlaps_and_is_repeated_when_asked() -> None:
    running: set[str] = set()
    runs: list[str] = []
    gate = asyncio.Event()

    async def work(key: str) -> None:
        assert key not in running
        running.add(key)
        await gate.wait()
        running.remove(key)
        runs.append(key)

    tasks = SerialTasks(work)
    tasks.touch("a")
    await asyncio.sleep(0)
    for _ in range(50):
        tasks.touch("a")
    tasks.touch("b")
    gate.set()
    await _idle(tasks, "a", "b")
    assert sorted(runs) == ["a", "a", "b"]


async def test_work_can_be_interrupted_in_favour_of_a_new_look() -> None:
    seen: list[str] = []

    begun = asyncio.Event()

    async def work(_key: str) -> None:
        seen.append("begun")
        begun.set()
        if len(seen) == 1:
            await asyncio.sleep(3600)
        seen.append("done")

    tasks = SerialTasks(work)
    tasks.touch("a")
    await begun.wait()
    tasks.touch("a", interrupt=True)
    await _idle(tasks, "a")
    assert seen == ["begun", "begun", "done"]


async def test_closing_ends_what_is_under_way() -> None:
    ended = asyncio.Event()

    async def work(_key: str) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()

    tasks = SerialTasks(work)
    tasks.touch("a")
    await asyncio.sleep(0.01)
    await tasks.close()
    assert ended.is_set()
    assert not tasks.busy("a")


async def test_a_fault_in_one_work_harms_no_other() -> None:
    done: list[str] = []

    async def work(key: str) -> None:
        if key == "bad":
            raise ValueError("a fault of ours")
        done.append(key)

    tasks = SerialTasks(work)
    for key in ("bad", "good", "bad"):
        tasks.touch(key)
    await _idle(tasks, "bad", "good")
    assert done == ["good"]


def test_an_instance_keeps_its_identifier_and_its_secrets(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with own_instance(home) as first:
        assert is_id(first)
    with own_instance(home) as second:
        assert second == first
    assert (home / "instance").stat().st_mode & 0o777 == 0o600
    assert home.stat().st_mode & 0o777 == 0o700


def test_one_supervisor_per_installation(tmp_path: Path) -> None:
    with (
        own_instance(tmp_path / "home"),
        pytest.raises(SupervisorRunning, match="jido down"),
        own_instance(tmp_path / "home", wait_s=0),
    ):
        pass


def test_an_instance_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "instance").write_text("not an identifier\n")
    with pytest.raises(InvalidSettings, match="identifier"), own_instance(tmp_path):
        pass
    (tmp_path / "instance").unlink()
    (tmp_path / "instance").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidSettings), own_instance(tmp_path):
        pass


def test_private_directories_are_ours_alone(tmp_path: Path) -> None:
    wide = tmp_path / "wide"
    wide.mkdir(mode=0o777)
    make_private(wide)
    assert wide.stat().st_mode & 0o777 == 0o700
    link = tmp_path / "link"
    link.symlink_to(wide)
    (tmp_path / "file").touch()
    for refused in (link, tmp_path / "file", tmp_path / "file/below"):
        with pytest.raises(InvalidSettings):
            make_private(refused)
