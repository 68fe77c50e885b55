"""Sandboxes beside one another, the image they come from and the log they could fill."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from orchestrator.sandboxes.bubblewrap_support import find_bwrap
from tests.support.docker import docker, inspect
from tests.support.requirements import SANDBOX_IMAGE, require, require_docker
from tests.support.sandboxes import Sandbox, Sandboxes

pytestmark = pytest.mark.xdist_group("probes-neighbours")

SETUID = "find / -xdev -type f -perm /6000 2>/dev/null"
FILL = """
import os
handle = os.open("/proc/1/fd/{stream}", os.O_WRONLY | os.O_NONBLOCK)
wrote = 0
try:
    while wrote < 8 << 20:
        wrote += os.write(handle, b"x" * 65536)
except OSError as error:
    print(type(error).__name__, error.errno, wrote)
else:
    print(wrote)
"""


SERVE = """
import socket
server = socket.create_server(("127.0.0.1", 45454))
server.accept(), server.accept()
"""
REACH = """
import socket, sys, time
for attempt in range(int(sys.argv[1])):
    try:
        socket.create_connection(("127.0.0.1", 45454), 5)
    except ConnectionRefusedError:
        time.sleep(0.05)
    else:
        print("reached")
        break
"""


async def reach(sandbox: Sandbox, attempts: int) -> str:
    done = await sandbox.workspace.run(["python3", "-c", REACH, str(attempts)], timeout=60)
    return done.stdout


async def processes(sandbox: Sandbox) -> str:
    return (await sandbox.shell("cat /proc/[0-9]*/cmdline | tr '\\0' ' '")).stdout


async def test_sandboxes_do_not_see_one_another(sandboxes: Sandboxes) -> None:
    first = await sandboxes.start(sandboxes.project("first"))
    second = await sandboxes.start(sandboxes.project("second"))
    (first.project / "mine").write_text("mine")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(first.python(SERVE))
        # The first reaches and sees its own.
        assert await reach(first, 600) == "reached\n"
        assert "45454" in await processes(first)
        assert await reach(second, 1) == ""
        seen = await processes(second)
        assert "45454" not in seen
        assert str(first.project) not in seen
        assert str(second.project) in seen
        assert await reach(first, 1) == "reached\n"
    read = f"cat {first.project}/mine"
    assert (await first.shell(read)).stdout == "mine"
    assert "No such file" in (await second.shell(read)).stderr


@pytest.mark.docker
def test_the_image_has_no_program_of_another_user() -> None:
    require_docker()
    words = ("run", "--rm", "--network", "none", "--entrypoint", "sh", "--user", "0:0")
    assert docker(*words, SANDBOX_IMAGE, "-c", SETUID, check=False) == ""
    planted = f"cp /bin/true /tmp/planted && chmod 4755 /tmp/planted && {SETUID}"
    assert docker(*words, SANDBOX_IMAGE, "-c", planted, check=False) == "/tmp/planted\n"


@pytest.mark.docker
def test_the_image_holds_no_secret() -> None:
    require_docker()
    facts = json.loads(docker("image", "inspect", SANDBOX_IMAGE))[0]
    assert {word.partition("=")[0] for word in facts["Config"]["Env"]} <= {"PATH", "LANG"}
    assert set(facts["Config"].get("Volumes") or {}) == set()
    told = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", SANDBOX_IMAGE)
    assert "TOKEN" not in told.upper()
    assert "PASSWORD" not in told.upper()


async def test_the_log_of_a_sandbox_does_not_grow(sandboxes: Sandboxes) -> None:
    sandbox = await sandboxes.start()
    for stream in (1, 2):
        told = (await sandbox.python(FILL.format(stream=stream))).stdout.split()
        assert told, stream
    assert (await sandbox.shell("echo alive")).stdout == "alive\n"
    if sandboxes.kind == "docker":
        name = f"jido-{sandbox.spec.instance_id[:8]}-{sandbox.spec.session_id[:8]}"
        assert inspect(name)["LogPath"] == ""
        assert inspect(name)["HostConfig"]["LogConfig"]["Type"] == "none"
        assert docker("logs", name, check=False) == ""
        return
    # Standard output leads nowhere; what standard error leads to cannot grow.
    told = (await sandbox.python(FILL.format(stream=2))).stdout.split()
    assert told[0] in ("PermissionError", "OSError"), told
    assert int(told[2]) <= 65_536


OVERWRITE = """
import os
print(os.readlink("/proc/1/exe"))
try:
    os.write(os.open("/proc/1/exe", os.O_WRONLY), b"planted")
except OSError as error:
    print(type(error).__name__, error.errno)
else:
    print("written")
"""


@pytest.mark.bubblewrap
@pytest.mark.parametrize("sandboxes", ["bubblewrap"], indirect=True)
async def test_the_program_behind_the_first_process_cannot_be_written(
    sandboxes: Sandboxes,
) -> None:
    bwrap = Path(find_bwrap())
    before = bwrap.read_bytes()
    require(os.getuid() in (0, bwrap.stat().st_uid), "bwrap belongs to somebody else.")
    # The project's owner may write the file itself, as a user may in an environment of its own.
    sandboxes.owner = (bwrap.stat().st_uid, bwrap.stat().st_gid)
    assert bwrap.stat().st_mode & 0o200
    sandbox = await sandboxes.start()
    name, _, refused = (await sandbox.python(OVERWRITE)).stdout.partition("\n")
    assert name.startswith("/memfd:bwrap")
    assert refused.split()[0] in ("OSError", "PermissionError"), refused
    assert bwrap.read_bytes() == before
