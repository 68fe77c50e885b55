"""The embedded stack: one per home, restarted in part, ended as a whole."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command_line import CommandLine, command_line, one_line, runs, wait_until
from tests.support.requirements import require_bubblewrap

pytestmark = [pytest.mark.bubblewrap, pytest.mark.xdist_group("local-stack")]


@pytest.fixture
def jido() -> Iterator[CommandLine]:
    """Return commands whose home holds nothing yet."""
    require_bubblewrap()
    with command_line() as commands:
        yield commands


def _up(jido: CommandLine, **environment: str) -> str:
    done = jido.run("up", "--detach", "--port", "0", given=b"", **environment)
    assert done.returncode == 0, done.stderr.decode()
    word, url = done.stdout.decode().split()
    assert word == "ready"
    return url


def test_one_stack_a_home_and_down_ends_all_of_it(jido: CommandLine) -> None:
    url = _up(jido)
    again = jido.run("up", "--port", "0")
    assert (again.returncode, again.stdout.decode()) == (0, f"ready {url}\n")
    pids = [*jido.children().values(), json.loads((jido.home / "stack.json").read_text())["pid"]]
    assert len(pids) == 5
    assert jido.run("down").returncode == 0
    assert not any(map(runs, pids))
    assert not (jido.home / "stack.json").exists()
    assert jido.run("down").returncode == 0


def test_only_the_owner_reaches_what_is_there(jido: CommandLine) -> None:
    _up(jido)
    for path in (jido.home, jido.home / "run", jido.home / "data", jido.home / "logs"):
        assert path.stat().st_mode & 0o077 == 0, path
    assert (jido.home / "token").stat().st_mode & 0o777 == 0o600
    valkey = jido.children()["valkey"]
    inodes = {
        os.readlink(f"/proc/{valkey}/fd/{fd}").removeprefix("socket:[").removesuffix("]")
        for fd in os.listdir(f"/proc/{valkey}/fd")
        if os.readlink(f"/proc/{valkey}/fd/{fd}").startswith("socket:")
    }
    for table in ("tcp", "tcp6"):
        lines = Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        assert inodes.isdisjoint(line.split()[9] for line in lines)
    # The same look finds the api's port, so it would have found the store's.
    api = jido.children()["api"]
    sockets = {os.readlink(f"/proc/{api}/fd/{fd}") for fd in os.listdir(f"/proc/{api}/fd")}
    listening = Path("/proc/net/tcp").read_text().splitlines()[1:]
    assert any(f"socket:[{line.split()[9]}]" in sockets for line in listening)


def test_keys_reach_the_worker_alone(jido: CommandLine) -> None:
    _up(jido, ANTHROPIC_API_KEY="sk-secret", JIDO_MODEL="offline:demo")
    children = jido.children()
    for name in ("api", "supervisor", "worker", "valkey"):
        environment = Path(f"/proc/{children[name]}/environ").read_bytes()
        assert (b"sk-secret" in environment) == (name == "worker"), name


def test_each_child_is_restarted_and_work_goes_on(jido: CommandLine) -> None:
    _up(jido)
    session = jido.json("session", "new", str(jido.project("kept")))
    for name, pid in jido.children().items():
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda name=name, pid=pid: jido.children().get(name, pid) != pid)
        assert [each["id"] for each in jido.json("session", "list")["items"]] == [session["id"]]
    arguments = ("exec", "--session", session["id"], "--", "echo", "alive")
    wait_until(lambda: jido.run(*arguments).stdout == b"alive\n")
    done = jido.run("run", "--project", str(jido.project("other")), "--prompt", "write a.txt x")
    assert done.returncode == 0, done.stderr.decode()


def test_killed_whole_it_leaves_no_process_and_loses_nothing(jido: CommandLine) -> None:
    _up(jido)
    session = jido.json("session", "new", str(jido.project("kept")))
    children = jido.children()
    state = jido.state()
    assert state is not None
    os.kill(state["pid"], signal.SIGKILL)
    wait_until(lambda: not any(map(runs, children.values())), 60)
    _up(jido)
    assert [each["id"] for each in jido.json("session", "list")["items"]] == [session["id"]]
    arguments = ("exec", "--session", session["id"], "--", "echo", "alive")
    wait_until(lambda: jido.run(*arguments).stdout == b"alive\n")


def test_sessions_are_saved_at_the_end(jido: CommandLine) -> None:
    _up(jido)
    project = str(jido.project("talk"))
    assert jido.run("run", "--project", project, "--prompt", "say Hi", "--keep").returncode == 0
    assert jido.run("down").returncode == 0
    _up(jido)
    assert jido.json("session", "list")["items"] == []
    assert [each["project_path"] for each in jido.json("session", "saved")["items"]] == [project]


def test_a_command_without_a_server_brings_its_own_and_takes_it_away(jido: CommandLine) -> None:
    project = str(jido.project("alone"))
    done = jido.run("run", "--project", project, "--prompt", "write a.txt x")
    assert done.returncode == 0, done.stderr.decode()
    assert jido.state() is None
    holders = subprocess.run(
        ["grep", "-lz", f"JIDO_HOME={jido.home}", *_environments()],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    assert holders == ""


def _environments() -> list[str]:
    return [f"/proc/{pid}/environ" for pid in os.listdir("/proc") if pid.isdecimal()]


def test_two_commands_share_one_stack_until_both_are_done(jido: CommandLine) -> None:
    first = ("run", "--project", str(jido.project("first")), "--prompt", "write a.txt x")
    second = ("run", "--project", str(jido.project("second")), "--prompt", "sleep 6\nwrite a.txt x")
    with jido.start(*first) as one:
        wait_until(lambda: jido.state() is not None)
        with jido.start(*second) as other:
            assert one.communicate(timeout=120)[1] is not None
            _, errors = other.communicate(timeout=120)
    assert (one.returncode, other.returncode) == (0, 0), errors.decode()
    wait_until(lambda: jido.state() is None)


def test_a_port_in_use_is_said_and_nothing_stays(jido: CommandLine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for extra in ((), ("--detach",)):
            done = jido.run("up", "--port", port, *extra)
            assert (done.returncode, done.stdout) == (6, b"")
            assert f"Port {port}" in one_line(done.stderr)
    assert jido.state() is None


def test_without_any_runtime_it_refuses_with_the_ways_out(jido: CommandLine) -> None:
    done = jido.run(
        "up", "--detach", "--port", "0", "--runtime", "docker", DOCKER_HOST="unix:///nowhere.sock"
    )
    assert (done.returncode, done.stdout) == (6, b"")
    assert "engine" in one_line(done.stderr)
    wait_until(lambda: jido.state() is None)


@pytest.mark.parametrize(
    ("url", "code"), [("unix:///nowhere.sock", 6), ("nonsense://somewhere", 2)]
)
def test_a_redis_of_ones_own_that_is_not_there(jido: CommandLine, url: str, code: int) -> None:
    done = jido.run("up", "--detach", "--port", "0", JIDO_REDIS_URL=url)
    assert (done.returncode, done.stdout) == (code, b"")
    assert "edis" in one_line(done.stderr)
    wait_until(lambda: jido.state() is None)


def test_a_store_that_cannot_read_its_data_is_named(jido: CommandLine) -> None:
    _up(jido)
    jido.run("down")
    for file in (jido.home / "data" / "appendonlydir").glob("*.aof"):
        file.write_bytes(b"not what was written\n")
    done = jido.run("up", "--detach", "--port", "0")
    assert done.returncode == 6
    assert "valkey" in one_line(done.stderr)
    assert jido.state() is None


def test_a_stack_started_by_a_client_ends_with_it(jido: CommandLine) -> None:
    program = (
        "import sys; from orchestrator.local.launch import start_stack;"
        "from orchestrator.settings import load_settings;"
        "lease = start_stack(load_settings(), 0, {}); lease.own.wait_ready();"
        "print('up', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        env=jido.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == b"up\n"
        children = jido.children()
        client.kill()
        client.wait()
    wait_until(lambda: not any(map(runs, children.values())), 60)
    assert jido.state() is None
