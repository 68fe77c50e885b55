"""The parts of the embedded stack by themselves: home, state, children, users."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from pathlib import Path

import pytest

from orchestrator.local.child import Child, Program
from orchestrator.local.control import Control, use_stack
from orchestrator.local.errors import HomeUnusable, PortInUse
from orchestrator.local.home import ensure_token, lock_stack, prepare_home, read_token
from orchestrator.local.launch import join_stack, listen
from orchestrator.local.programs import process_programs
from orchestrator.local.state import StackState, process_start, read_state, write_state
from orchestrator.settings import Settings, load_settings
from tests.support.command_line import wait_until


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Return settings with a home that does not exist yet."""
    return load_settings(home=tmp_path / "home")


def test_a_token_is_made_once_for_the_owner_alone(settings: Settings) -> None:
    assert read_token(settings) is None
    token = ensure_token(settings)
    assert len(token) >= 40
    assert ensure_token(settings) == token
    assert stat.S_IMODE((settings.home / "token").stat().st_mode) == 0o600
    assert stat.S_IMODE(settings.home.stat().st_mode) == 0o700
    assert read_token(settings.model_copy(update={"token": "given"})) == "given"
    assert [each.name for each in settings.home.iterdir() if each.name.startswith(".token")] == []


@pytest.mark.parametrize("content", [b"", b"\n", b"a\x00b", b"x" * 5000])
def test_a_file_that_is_no_token_is_refused(settings: Settings, content: bytes) -> None:
    prepare_home(settings)
    (settings.home / "token").write_bytes(content)
    with pytest.raises(HomeUnusable):
        read_token(settings)


def test_a_home_that_others_could_write_is_closed_or_refused(settings: Settings) -> None:
    settings.home.mkdir(mode=0o777)
    prepare_home(settings)
    assert stat.S_IMODE(settings.home.stat().st_mode) == 0o700
    (settings.home / "file").write_text("")
    with pytest.raises(HomeUnusable):
        prepare_home(settings.model_copy(update={"home": settings.home / "file"}))


def test_the_lock_admits_one(settings: Settings) -> None:
    first = lock_stack(settings)
    assert first is not None
    assert lock_stack(settings) is None
    os.close(first)
    second = lock_stack(settings)
    assert second is not None
    os.close(second)


def test_a_state_counts_only_while_its_very_process_runs(settings: Settings) -> None:
    prepare_home(settings)
    started = process_start(os.getpid())
    assert started is not None
    state = StackState(os.getpid(), started, "http://127.0.0.1:1", "/nowhere", "1")
    write_state(settings, state)
    assert read_state(settings) == state
    assert join_stack(settings) is None
    write_state(settings, StackState(os.getpid(), started + 1, state.url, state.control, "1"))
    assert read_state(settings) is None
    (settings.home / "stack.json").write_text('{"pid": 1}')
    assert read_state(settings) is None


def test_a_port_in_use_is_told(settings: Settings) -> None:
    with listen("127.0.0.1", 0) as first, pytest.raises(PortInUse, match="--port"):
        listen("127.0.0.1", first.getsockname()[1])


def test_provider_keys_are_for_the_worker(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "secret")
    with_key = {
        program.name
        for program in process_programs(settings, 5)
        if "secret" in program.environment.values()
    }
    assert with_key == {"worker"}


def _program(tmp_path: Path, code: str) -> Program:
    return Program(
        name="part",
        arguments=[sys.executable, "-c", code],
        environment=dict(os.environ),
        log=tmp_path / "part.log",
    )


async def test_a_child_that_ends_is_started_again(tmp_path: Path) -> None:
    child = Child(_program(tmp_path, "print('jido: no luck')"))
    task = asyncio.create_task(child.run())
    async with asyncio.timeout(30):
        await child.failed.wait()
        child.failed.clear()
        await child.failed.wait()
    assert child.reason() == "no luck"
    await child.stop(1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_child_that_will_not_end_is_killed_with_all_it_started(tmp_path: Path) -> None:
    code = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "p = subprocess.Popen([sys.executable, '-c', 'import signal, time;"
        " signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)']);"
        "print(p.pid, flush=True); time.sleep(60)"
    )
    child = Child(_program(tmp_path, code))
    task = asyncio.create_task(child.run())
    log = tmp_path / "part.log"
    await asyncio.to_thread(wait_until, lambda: log.exists() and log.read_text().endswith("\n"))
    grandchild = int(log.read_text())
    assert process_start(grandchild) is not None
    await child.stop(0.5)
    await task
    assert child.pid is None
    assert process_start(grandchild) is None


async def test_a_program_that_is_not_there_fails_and_says_so(tmp_path: Path) -> None:
    child = Child(Program("part", ["/nowhere/program"], dict(os.environ), tmp_path / "part.log"))
    task = asyncio.create_task(child.run())
    async with asyncio.timeout(30):
        await child.failed.wait()
    await child.stop(1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert "nowhere" in child.reason()


async def test_a_long_log_is_set_aside(tmp_path: Path) -> None:
    child = Child(_program(tmp_path, "pass"))
    log = tmp_path / "part.log"
    log.write_bytes(b"x" * 9_000_000)
    child.rotate()
    assert log.stat().st_size == 0
    assert (tmp_path / "part.log.1").stat().st_size <= 8_388_608


async def test_users_are_counted_and_may_ask_for_the_end(tmp_path: Path) -> None:
    changed, stop = asyncio.Event(), asyncio.Event()
    control = Control(tmp_path / "s", changed.set, stop.set)
    await control.open()
    try:
        user = use_stack(str(tmp_path / "s"))
        assert user is not None
        async with asyncio.timeout(10):
            await changed.wait()
            assert control.users == 1
            changed.clear()
            user.sendall(b"nonsense\nstop\n")
            await stop.wait()
            user.close()
            await changed.wait()
        assert control.users == 0
    finally:
        control.close()
    assert use_stack(str(tmp_path / "s")) is None
