"""Commands: output, exit codes, time, cancellation, environment, and what they leave behind."""

from __future__ import annotations

import os
import resource
import threading
import time
from pathlib import Path

import pytest

from sandbox_image.toolserver.pace import BURST_BYTES, LONGEST_WAIT_S, RATE_BYTES, Pace
from tests.support.toolserver import RawClient, RawReply, ToolServer, running


def streams(reply: RawReply) -> tuple[bytes, bytes]:
    """Both streams of a command whose output was not cut."""
    out, err = reply.result["stdout"], reply.result["stderr"]
    assert out[2] == err[2] == 0
    split = out[0] + out[1]
    return reply.payload[:split], reply.payload[split:]


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def await_file(path: Path) -> str:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if path.exists() and (text := path.read_text()).endswith("\n"):
            return text
        time.sleep(0.01)
    raise AssertionError(f"{path} did not appear")


def await_death(pid: int) -> None:
    deadline = time.monotonic() + 10
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not alive(pid)


def test_output_and_exit_code(client: RawClient) -> None:
    reply = client.call("run", shell="printf out; printf err >&2; exit 7")
    assert reply.result["exit_code"] == 7
    assert streams(reply) == (b"out", b"err")


def test_standard_input(client: RawClient) -> None:
    data = os.urandom(300_000)
    reply = client.call("run", data, command=["cat"])
    assert streams(reply) == (data, b"")
    assert streams(client.call("run", command=["cat"])) == (b"", b"")
    assert client.call("run", data, command=["true"]).result["exit_code"] == 0


def test_a_long_command_travels_as_payload(client: RawClient) -> None:
    words = [b"printf", b"%s", b"x" * 100_000]
    reply = client.call("run", b"\0".join(words), payload_command=True)
    assert streams(reply) == (b"x" * 100_000, b"")
    too_long = client.call("run", b"\0".join([*words[:2], b"x" * 200_000]), payload_command=True)
    assert too_long.code == "too_large"
    assert client.call("run", payload_command=True).code == "invalid_argument"


def test_programs_that_cannot_start(client: RawClient, server: ToolServer) -> None:
    (server.root / "plain").write_text("echo no shebang\n")
    assert client.call("run", command=["no-such-program"]).result["exit_code"] == 127
    assert client.call("run", command=["./missing"]).result["exit_code"] == 127
    assert client.call("run", command=["./plain"]).result["exit_code"] == 126
    (server.root / "plain").chmod(0o755)
    assert streams(client.call("run", command=["./plain"])) == (b"no shebang\n", b"")
    assert client.call("run", command=[]).code == "invalid_argument"
    assert client.call("run", command=["a\0b"]).code == "invalid_argument"
    assert client.call("run", command="true").code == "invalid_argument"


def test_a_signal_becomes_an_exit_code(client: RawClient) -> None:
    assert client.call("run", shell="kill -KILL $$").result["exit_code"] == 137
    # A command starts with the default of a signal that Python ignores.
    assert client.call("run", shell="kill -PIPE $$").result["exit_code"] == 141


def test_the_environment_is_fixed_and_small() -> None:
    with (
        running(environment={"SECRET": "s", "AWS_TOKEN": "t"}) as server,
        server.connect() as client,
    ):
        out, _ = streams(client.call("run", command=["env"], env={"EXTRA": "1"}))
        names = {line.partition(b"=")[0].decode() for line in out.splitlines()}
        values = dict(line.split("=", 1) for line in out.decode().splitlines())
        assert names == {
            "PATH", "HOME", "TMPDIR", "LANG", "TERM", "USER", "JIDO_COMMAND", "EXTRA",
        }  # fmt: skip
        assert values["HOME"] == f"{server.root}/.jido_code/home"
        assert values["TMPDIR"] == f"{server.root}/.jido_code/tmp"
        assert client.call("run", command=["env"], env={"A=B": "1"}).code == "invalid_argument"
        assert client.call("run", command=["env"], env={"A": 1}).code == "invalid_argument"


def test_the_working_directory(client: RawClient, server: ToolServer) -> None:
    (server.root / "sub dir").mkdir()
    assert streams(client.call("run", command=["pwd"]))[0] == f"{server.root}\n".encode()
    inside = streams(client.call("run", command=["pwd"], cwd="sub dir"))[0]
    assert inside == f"{server.root}/sub dir\n".encode()
    assert client.call("run", command=["pwd"], cwd="none").code == "not_found"
    assert client.call("run", command=["pwd"], cwd="..").code == "outside_project"
    assert (
        b"PWD=" + bytes(server.root) + b"/sub dir\n"
        in streams(client.call("run", shell="env", cwd="sub dir"))[0]
    )


def test_a_working_directory_swapped_meanwhile_leads_nowhere_else(
    client: RawClient, server: ToolServer
) -> None:
    (server.root / "safe").mkdir()
    (server.root / "link").symlink_to(server.root.parent)
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            os.rename(server.root / "safe", server.root / "parked")
            os.rename(server.root / "link", server.root / "safe")
            os.rename(server.root / "safe", server.root / "link")
            os.rename(server.root / "parked", server.root / "safe")

    thread = threading.Thread(target=swap)
    thread.start()
    seen = set()
    try:
        for _ in range(150):
            reply = client.call("run", command=["pwd"], cwd="safe")
            seen.add(streams(reply)[0].decode().strip() if reply.header["ok"] else reply.code)
    finally:
        stop.set()
        thread.join()
    assert seen & {f"{server.root}/safe", f"{server.root}/parked"}
    assert seen <= {
        *(f"{server.root}/{name}" for name in ("safe", "parked")),
        *("outside_project", "not_found", "not_directory"),
    }


def test_no_descriptor_of_the_server_is_inherited(client: RawClient) -> None:
    out, _ = streams(client.call("run", shell="ls -l /proc/self/fd"))
    assert b"socket:" not in out
    assert out.count(b"->") == 4  # three standard streams and the listing itself


def test_a_child_is_killed_for_memory_before_the_server(
    client: RawClient, server: ToolServer
) -> None:
    child = int(streams(client.call("run", shell="cat /proc/self/oom_score_adj"))[0])
    own = int(Path(f"/proc/{server.process.pid}/oom_score_adj").read_text())
    assert child > own


def test_output_is_kept_at_both_ends(client: RawClient) -> None:
    script = "printf BEGIN; head -c 500000 /dev/zero; printf END"
    reply = client.call("run", shell=script, keep_bytes=1000)
    head, tail, cut = reply.result["stdout"]
    assert (head, tail, cut) == (500, 500, 500_008 - 1000)
    assert reply.payload.startswith(b"BEGIN")
    assert reply.payload.endswith(b"END")


def test_endless_output_is_stopped_at_the_limit(client: RawClient) -> None:
    reply = client.call("run", command=["yes"], keep_bytes=1000, stop_at_limit=True)
    assert reply.code == "too_large"
    assert reply.payload.startswith(b"y\n")


def test_output_is_streamed_while_it_appears(client: RawClient, server: ToolServer) -> None:
    client.send(
        "run", shell="echo one; while [ ! -e go ]; do sleep 0.01; done; echo two", stream=True
    )
    first = client.receive()
    assert (first.header["stream"], first.payload) == ("stdout", b"one\n")
    (server.root / "go").touch()
    second = client.receive()
    assert second.payload == b"two\n"
    assert streams(client.receive()) == (b"one\ntwo\n", b"")


def test_a_timeout_kills_everything_and_returns_the_output(
    client: RawClient, server: ToolServer
) -> None:
    script = "echo before; (setsid sleep 100 & echo $! > pid); sleep 100"
    began = time.monotonic()
    reply = client.call("run", shell=script, timeout_s=0.5)
    assert reply.code == "timeout"
    assert reply.payload == b"before\n"
    assert time.monotonic() - began < 5
    # Even what left the process group.
    await_death(int(await_file(server.root / "pid")))


ESCAPES = {
    "ignores signals": "trap '' TERM INT HUP; echo $$ > pid; sleep 100; sleep 100",
    "its own session": "setsid sh -c 'echo $$ > pid; sleep 100' & sleep 100",
    "no environment": "env -i setsid sh -c 'echo $$ > pid; sleep 100' & sleep 100",
    "orphaned": "(setsid sh -c 'echo $$ > pid; exec sleep 100' &); sleep 100",
    "orphaned, no environment": "(env -i setsid sh -c 'echo $$ > pid; sleep 100' &); sleep 100",
    "many": "for n in $(seq 40); do env -i setsid sleep 100 & done; echo $! > pid; wait",
}


@pytest.mark.parametrize("script", ESCAPES.values(), ids=ESCAPES)
def test_nothing_escapes_a_cancellation(client: RawClient, server: ToolServer, script: str) -> None:
    client.send("run", shell=script)
    pid = int(await_file(server.root / "pid"))
    # The control: it runs on as long as nobody ends it.
    assert alive(pid)
    client.send_raw(b'{"cancel":1}\n')
    assert client.receive().code == "cancelled"
    await_death(pid)


def test_a_background_child_outlives_its_command(client: RawClient, server: ToolServer) -> None:
    script = "(while [ ! -e go ]; do sleep 0.02; done; echo x > done) & echo $! > pid; echo fine"
    reply = client.call("run", shell=script)
    assert streams(reply) == (b"fine\n", b"")
    assert alive(int(await_file(server.root / "pid")))
    (server.root / "go").touch()
    await_file(server.root / "done")


def test_cancel_ends_the_command_and_nothing_else(client: RawClient, server: ToolServer) -> None:
    doomed = client.send("run", shell="echo $$ > pid; sleep 100")
    pid = int(await_file(server.root / "pid"))
    other = client.send("run", shell="while [ ! -e go ]; do sleep 0.02; done; echo alive")
    client.send_raw(b'{"cancel":%d}\n' % doomed)
    ended = client.receive()
    assert (ended.header["id"], ended.code) == (doomed, "cancelled")
    await_death(pid)
    (server.root / "go").touch()
    survived = client.receive()
    assert (survived.header["id"], streams(survived)[0]) == (other, b"alive\n")
    client.send_raw(b'{"cancel":999}\n{"cancel":"x"}\n')
    assert client.call("ping").result == {}


def test_a_client_that_disappears_ends_only_its_foreground(server: ToolServer) -> None:
    with server.connect() as client:
        job = client.call("job_start", shell="echo $$ > job; sleep 100").result["job"]
        client.send("run", shell="echo $$ > pid; sleep 100")
        pid = int(await_file(server.root / "pid"))
        job_pid = int(await_file(server.root / "job"))
    await_death(pid)
    assert alive(job_pid)
    with server.connect() as client:
        assert client.call("job_kill", job=job).result["exit_code"] == 137


def test_many_commands_at_once(client: RawClient) -> None:
    wanted = {client.send("run", shell=f"sleep 0.1; echo {n}"): n for n in range(20)}
    for _ in range(20):
        reply = client.receive()
        assert streams(reply)[0] == b"%d\n" % wanted.pop(reply.header["id"])
    assert not wanted


@pytest.mark.parametrize("timeout_s", [0, -1, "1", True, 1e9])
def test_impossible_timeouts_are_refused(client: RawClient, timeout_s: object) -> None:
    assert client.call("run", command=["true"], timeout_s=timeout_s).code == "invalid_argument"


def test_the_server_ends_its_commands_with_itself() -> None:
    with running() as server, server.connect() as client:
        client.send("run", shell="echo $$ > pid; sleep 100")
        client.send("job_start", shell="echo $$ > job; sleep 100")
        pids = [int(await_file(server.root / name)) for name in ("pid", "job")]
        server.process.terminate()
        assert server.process.wait(10) == 0
        for pid in pids:
            await_death(pid)


def test_a_server_out_of_descriptors_says_so_counts_it_and_goes_on() -> None:
    with running() as server, server.connect() as client:
        assert client.call("run", shell="echo fine").payload == b"fine\n"
        used = len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))
        before = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (used + 1, before[1]))
        reply = client.call("run", shell="echo fine")
        assert reply.code == "limit_resources"
        assert "limit of open files" in reply.header["error"]["message"]
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, before)
        assert client.call("run", shell="echo fine").payload == b"fine\n"
        assert client.call("limits").result["files_refused"] == 1


def test_output_is_passed_on_at_a_pace() -> None:
    pace = Pace(now=0.0)
    chunk = 65536
    # At once for a while, then as fast as the rate; after a rest at once again.
    assert {pace.wait_s(chunk, 0.0) for _ in range(BURST_BYTES // chunk)} == {0.0}
    assert pace.wait_s(chunk, 0.0) == chunk / RATE_BYTES
    assert pace.wait_s(chunk, chunk / RATE_BYTES) == chunk / RATE_BYTES
    assert pace.wait_s(BURST_BYTES, 1.0) == LONGEST_WAIT_S
    assert pace.wait_s(chunk, 100.0) == 0.0
    with running() as server, server.connect() as client:
        command = client.send("run", shell="head -c 70M /dev/zero", stream=True, keep_bytes=0)
        received = 0
        while "stream" in (reply := client.receive()).header:
            received += len(reply.payload)
        assert (reply.header["id"], reply.result["exit_code"]) == (command, 0)
        assert received == 70 * 1024 * 1024
