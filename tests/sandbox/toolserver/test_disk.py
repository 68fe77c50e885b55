"""What a session adds to its project is watched: a warning, a ceiling, and a way back."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic_ai.workspaces import WorkspaceError

from orchestrator.sandboxes.workspace import SandboxWorkspace
from tests.support.toolserver import RawClient, ToolServer, running

MIB = 1024 * 1024
WAIT_S = 60.0
"""Seconds a busy machine may take to see what was written."""


@pytest.fixture
def watched() -> Iterator[ToolServer]:
    """A server whose session may add 32 MiB and is warned at 8."""
    with running(allowance={"disk_bytes": 32 * MIB, "disk_warning_bytes": 8 * MIB}) as server:
        with server.connect() as client:
            disk_until(client, lambda disk: disk["baseline"] >= 0)
        yield server


def disk_until(client: RawClient, true: Any) -> dict[str, Any]:
    """Wait until what the server tells of the disk is so."""
    deadline = time.monotonic() + WAIT_S
    version = -1
    while True:
        found = client.call("limits", after=version, wait_s=1).result
        version = found["version"]
        disk: dict[str, Any] = found["disk"]
        if true(disk):
            return disk
        assert time.monotonic() < deadline, disk


def state(wanted: str) -> Any:
    """Return the test of a state."""
    return lambda disk: disk["state"] == wanted


FILL = "head -c {} /dev/zero > {}; echo written"
FILL_IN_PARTS = """
import os, time
n = 0
while True:
    with open(f"part{n}", "wb") as file:
        file.write(os.urandom(512 * 1024))
    n += 1
    time.sleep(0.005)
"""


def test_a_warning_and_no_more(watched: ToolServer) -> None:
    with watched.connect() as client:
        assert client.call("run", shell=FILL.format(12 * MIB, "big")).payload == b"written\n"
        disk = disk_until(client, state("warning"))
        # It may have been seen while it was being written.
        assert 8 * MIB < disk["added"] < 13 * MIB
        assert client.call("write", b"text", path="file").result["created"]
        client.call("remove", path="big")
        client.call("run", shell="true")
        assert disk_until(client, state("ok"))["added"] < MIB


def test_at_the_ceiling_what_runs_is_ended_and_writing_refused_until_something_goes(
    watched: ToolServer,
) -> None:
    with watched.connect() as client, watched.connect() as other:
        job = client.call("job_start", shell="sleep 600").result["job"]
        filling = client.send("run", command=["python3", "-c", FILL_IN_PARTS], timeout_s=WAIT_S)
        ended = client.receive()
        assert (ended.header["id"], ended.code) == (filling, "disk_limit")
        assert "JIDO_SANDBOX_DISK" in ended.header["error"]["message"]
        state_of_job = client.call("job_poll", job=job, wait_s=10).result
        assert (state_of_job["running"], state_of_job["stopped"]) == (False, "disk_limit")
        for operation in ("write", "make_dir", "edit"):
            assert other.call(operation, b"[]", path="new").code == "disk_limit"
        assert not (watched.root / "new").exists()
        # Reading, listing, commands and removing go on.
        assert other.call("list", path=".").result
        assert other.call("read", path="part0", raw=True, length=10).payload
        reply = other.call("run", shell="rm part*; echo removed")
        assert reply.payload.startswith(b"removed\n")
        disk_until(other, state("ok"))
        assert other.call("write", b"text", path="new").result["created"]
        assert other.call("run", shell=FILL.format(2 * MIB, "more")).payload == b"written\n"


def test_a_sparse_file_takes_what_it_holds(watched: ToolServer) -> None:
    with watched.connect() as client:
        assert client.call("run", shell="truncate -s 30M sparse; echo made").payload == b"made\n"
        client.call("run", shell=FILL.format(12 * MIB, "big"))
        assert disk_until(client, state("warning"))["added"] < 13 * MIB


def test_what_others_free_meanwhile_hides_nothing(watched: ToolServer) -> None:
    beside = watched.root.parent / "beside"
    beside.write_bytes(os.urandom(64 * MIB))
    with watched.connect() as client:
        client.call("run", shell=f"rm {beside}; " + FILL.format(12 * MIB, "big"))
        assert disk_until(client, state("warning"))["added"] < 13 * MIB


def test_no_file_grows_beyond_the_ceiling(watched: ToolServer) -> None:
    with watched.connect() as client:
        reply = client.call("run", command=["truncate", "-s", "10G", "sparse"])
        assert reply.result["exit_code"] != 0
    with running() as unwatched, unwatched.connect() as client:
        reply = client.call("run", command=["truncate", "-s", "10G", "sparse"])
        assert reply.result["exit_code"] == 0
        assert os.stat(unwatched.root / "sparse").st_blocks < 100


def test_names_of_one_file_count_once_and_links_lead_nowhere(watched: ToolServer) -> None:
    with watched.connect() as client:
        client.call("run", shell=FILL.format(5 * MIB, "one"))
        client.call("run", shell="for i in 1 2 3 4 5 6 7 8; do ln one name$i; done; ln -s / root")
        client.call("run", shell=FILL.format(4 * MIB, "two"))
        assert disk_until(client, state("warning"))["added"] < 10 * MIB


def test_what_was_there_before_counts_for_nothing_after_a_restart_either() -> None:
    allowance = {"disk_bytes": 32 * MIB, "disk_warning_bytes": 8 * MIB, "disk_baseline": 0}
    with running(allowance=allowance) as server, server.connect() as client:
        client.call("run", shell=FILL.format(9 * MIB, "big"))
        assert disk_until(client, state("warning"))["baseline"] == 0


async def test_the_agent_is_told_and_its_turn_goes_on(watched: ToolServer) -> None:
    workspace = SandboxWorkspace(str(watched.socket_path), "session")
    try:
        with pytest.raises(WorkspaceError, match="JIDO_SANDBOX_DISK"):
            await workspace.run(["python3", "-c", FILL_IN_PARTS], timeout=WAIT_S)
        with pytest.raises(WorkspaceError, match="remove files first"):
            await workspace.write_bytes("new", b"text")
        await workspace.run("rm part*", shell=True)
        with watched.connect() as client:
            await asyncio.to_thread(disk_until, client, state("ok"))
        await workspace.write_bytes("new", b"text")
    finally:
        await workspace.aclose()
