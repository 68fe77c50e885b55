"""A limit that a sandbox meets is an event of its session, which lives on."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from orchestrator.domain.events import Event
from orchestrator.sandboxes.channel import Channel
from orchestrator.sandboxes.docker_watch import RECENT_S
from orchestrator.sandboxes.errors import DiskLimit
from tests.integration.supervisor.stage import TIMEOUT_S, Stage
from tests.support.requirements import require
from tests.support.sandboxes import own_groups

HOG = "python3 -c 'print(len(bytearray({} * 1024 * 1024)))'"
FORKS = "for i in $(seq 90); do sleep 5 & done; wait"


async def shell(stage: Stage, session_id: str, script: str) -> tuple[int, str]:
    """Run a command in a session's sandbox; its exit code and what it said."""
    path = str(stage.settings.channel_path(session_id))
    async with await Channel.connect(path, TIMEOUT_S) as channel:
        arguments = {"shell": script, "timeout_s": TIMEOUT_S}
        reply = await channel.request("run", arguments, timeout_s=TIMEOUT_S)
    return int(reply.result["exit_code"]), reply.payload.decode()


async def counts(stage: Stage, session_id: str) -> dict[str, Any]:
    """Return what a session's tool server has counted."""
    path = str(stage.settings.channel_path(session_id))
    async with await Channel.connect(path, TIMEOUT_S) as channel:
        return (await channel.request("limits", {})).result


async def told(stage: Stage, session_id: str, kind: str, code: str | None = None) -> list[Event]:
    """Wait for an event of a type, and of a code, and return all of them."""
    found: list[Event] = []

    async def there() -> bool:
        events = await stage.events(session_id)
        found[:] = [e for e in events if e.type == kind and code in (None, e.data.get("code"))]
        return bool(found)

    await stage.until(there, f"{kind} {code or ''}")
    return found


async def test_a_process_killed_for_memory_is_told_to_its_command_and_its_session(
    stage: Stage,
) -> None:
    await stage.start()
    session = await stage.open("one")
    assert (await shell(stage, session.id, HOG.format(20)))[0] == 0
    code, said = await shell(stage, session.id, HOG.format(400))
    assert code == 137
    assert said.endswith("killed: the sandbox's memory limit of 256 MiB was reached\n")
    (event,) = await told(stage, session.id, "sandbox.oom")
    expected: dict[str, Any] = {"reason": "oom", "sandbox": "alive", "count": 1}
    assert event.data.items() >= expected.items()
    assert "256 MiB" in event.data["detail"]
    # Once a minute is enough; a reader learns how often it was by the count of the next event.
    await shell(stage, session.id, HOG.format(400))
    assert await shell(stage, session.id, "echo alive") == (0, "alive\n")
    assert len(await told(stage, session.id, "sandbox.oom")) == 1
    assert (await stage.store.sessions.get(session.id)).status == "ready"


async def test_an_end_of_another_kind_is_not_told_as_want_of_memory(stage: Stage) -> None:
    await stage.start()
    session = await stage.open("one")
    await shell(stage, session.id, HOG.format(400))
    await told(stage, session.id, "sandbox.oom")
    # What an engine heard some seconds ago is no reason for an end now.
    await asyncio.sleep(RECENT_S)
    await stage.kill_sandbox(session.id)
    (crashed,) = await told(stage, session.id, "sandbox.crashed")
    assert crashed.data["sandbox"] == "ended"
    assert crashed.data["reason"] in ("exited", "gone")
    await stage.reaches(session.id, "ready")


async def test_processes_that_are_refused_are_told_to_the_session(stage: Stage) -> None:
    await stage.start()
    session = await stage.open("one")
    assert (await shell(stage, session.id, "for i in 1 2 3; do true & done; wait"))[0] == 0
    assert (await shell(stage, session.id, FORKS))[0] != 0
    (event,) = await told(stage, session.id, "notice", "sandbox_pids_limit")
    assert event.data["level"] == "warning"
    assert event.data["count"] >= 1
    assert "64 processes" in event.data["text"]
    assert await stage.types(session.id) == ["session.created", "session.ready", "notice"]


async def test_what_was_told_is_not_told_again_by_a_later_supervisor(stage: Stage) -> None:
    await stage.start_process()
    session = await stage.open("one")
    await shell(stage, session.id, HOG.format(400))
    await told(stage, session.id, "sandbox.oom")

    async def acknowledged() -> bool:
        return bool((await counts(stage, session.id))["told"]["memory_kills"] == 1)

    # In the moment before, it would be told twice rather than never.
    await stage.until(acknowledged, "acknowledged")
    await stage.kill()
    await stage.start()
    await stage.until(lambda: stage.reachable(session.id), "adopted")
    await shell(stage, session.id, FORKS)
    # The pids notice comes over the later supervisor's connection, behind the old count.
    await told(stage, session.id, "notice", "sandbox_pids_limit")
    assert len(await told(stage, session.id, "sandbox.oom")) == 1


SPIN = "timeout {} sh -c 'until [ -e enough ]; do :; done'; echo spun"


async def test_processors_that_are_short_for_long_are_told_once(stage: Stage) -> None:
    # Without a group of its own a bubblewrap sandbox has no quota to use up.
    require(stage.runtime == "docker" or own_groups(), "No control group can be made here.")
    await stage.start()
    one, two = [await stage.claim(stage.project(each), cpus=0.2) for each in ("one", "two")]
    for session in (one, two):
        await stage.reaches(session.id, "ready")
    # Its neighbour does the same for a moment, meanwhile and within the same limit.
    long = asyncio.create_task(shell(stage, one.id, SPIN.format(29)))
    assert await shell(stage, two.id, SPIN.format(2)) == (0, "spun\n")
    (event,) = await told(stage, one.id, "notice", "sandbox_cpu_limit")
    assert (event.data["level"], event.data["count"]) == ("info", 1)
    assert "0.2 processors" in event.data["text"]
    # For more than one look beyond it is still the same news.
    await asyncio.sleep(6)
    assert not long.done()
    (stage.base / "projects/one/enough").touch()
    assert await long == (0, "spun\n")
    assert await stage.types(one.id) == ["session.created", "session.ready", "notice"]
    assert (await counts(stage, one.id))["cpu_throttled"] == 1
    assert await stage.types(two.id) == ["session.created", "session.ready"]
    assert (await counts(stage, two.id))["cpu_throttled"] == 0
    assert (await stage.store.sessions.get(one.id)).status == "ready"


OPEN = """\
import os, resource, time
kept, limit = [], resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (min({}, limit), limit))
try:
    while len(kept) < {}:
        kept.append(os.open("/dev/null", os.O_RDONLY))
except OSError as error:
    print(error.errno, end=" ", flush=True)
time.sleep({})
print("alive")
"""


async def test_a_program_at_its_limit_of_open_files_is_told_to_the_session(stage: Stage) -> None:
    await stage.start()
    session = await stage.open("one")
    path = str(stage.settings.channel_path(session.id))

    async def run(*values: int) -> str:
        async with await Channel.connect(path, TIMEOUT_S) as channel:
            arguments = {"command": ["python3", "-c", OPEN.format(*values)], "timeout_s": 20}
            reply = await channel.request("run", arguments, timeout_s=TIMEOUT_S)
        return reply.payload.decode()

    # Many files, and few that a program allows itself, are no limit of the sandbox.
    many, few = await asyncio.gather(run(9999, 4000, 7), run(64, 9999, 7))
    assert (many, few) == ("alive\n", "24 alive\n")
    assert (await counts(stage, session.id))["files_refused"] == 0
    # It goes on for more than one look.
    full = asyncio.create_task(run(9999, 9999, 11))
    (event,) = await told(stage, session.id, "notice", "sandbox_files_limit")
    assert (event.data["level"], event.data["count"]) == ("warning", 1)
    assert "4096 open files" in event.data["text"]
    assert await full == "24 alive\n"
    assert (await counts(stage, session.id))["files_refused"] == 1
    assert await stage.types(session.id) == ["session.created", "session.ready", "notice"]


MIB = 1024 * 1024
FILL = "head -c {} /dev/zero > {}"
FILL_FOR_EVER = "n=0; while true; do head -c 400000 /dev/urandom > part$n; n=$((n + 1)); done"


async def test_the_disk_of_a_project_is_watched_across_restarts(stage: Stage) -> None:
    await stage.start()
    project = stage.project("one")
    (project / "before").write_bytes(os.urandom(20 * MIB))
    session = await stage.claim(project, disk_bytes=16 * MIB, disk_warning_bytes=4 * MIB)
    await stage.reaches(session.id, "ready")
    await measured(stage, session.id)
    assert await shell(stage, session.id, FILL.format(8 * MIB, "big")) == (0, "")
    (warned,) = await told(stage, session.id, "notice", "sandbox_disk_warning")
    assert "8 MiB" in warned.data["text"]
    # A fresh sandbox has no fresh allowance: what was added before still counts.
    await stage.restart(session.id)
    await stage.reaches(session.id, "ready")
    await measured(stage, session.id)
    with pytest.raises(DiskLimit):
        await shell(stage, session.id, FILL_FOR_EVER)
    (full,) = await told(stage, session.id, "notice", "sandbox_disk_full")
    assert full.data["level"] == "error"
    assert (await stage.store.sessions.get(session.id)).status == "ready"
    code, said = await shell(stage, session.id, "rm part* big; echo removed")
    assert (code, said.splitlines()[0]) == (0, "removed")
    await told(stage, session.id, "notice", "sandbox_disk_freed")
    notices = [e.data["code"] for e in await stage.events(session.id) if e.type == "notice"]
    assert notices == ["sandbox_disk_warning", "sandbox_disk_full", "sandbox_disk_freed"]
    assert await shell(stage, session.id, FILL.format(2 * MIB, "again")) == (0, "")


async def measured(stage: Stage, session_id: str) -> None:
    """Wait until a fresh sandbox knows what its project takes."""

    async def known() -> bool:
        return bool((await counts(stage, session_id))["disk"]["baseline"] >= 0)

    await stage.until(known, "measured")
