"""Persistent shells: what they keep, what ends them, what cannot pass for an end."""

from __future__ import annotations

import os
import time

import pytest

from tests.sandbox.toolserver.test_commands import alive, await_death, await_file, streams
from tests.support.toolserver import RawClient, RawReply, ToolServer, running


@pytest.fixture(autouse=True)
def no_shell_stays(client: RawClient) -> None:
    for row in client.call("shell_list").json:
        client.call("shell_reset", name=row["name"])


def shell(client: RawClient, command: str, **arguments: object) -> RawReply:
    return client.call("shell_run", command.encode(), **arguments)


def out(client: RawClient, command: str, **arguments: object) -> str:
    return streams(shell(client, command, **arguments))[0].decode()


def test_directory_variables_and_functions_are_kept(client: RawClient, server: ToolServer) -> None:
    (server.root / "d").mkdir()
    first = shell(client, "cd d; x='a b'; export y=2; f() { echo \"f $1\"; }; umask 077")
    assert (first.result["exit_code"], first.result["fresh"]) == (0, True)
    assert first.result["cwd"] == f"{server.root}/d"
    assert out(client, 'pwd; echo "$x"; env | grep ^y=; f 1; umask') == (
        f"{server.root}/d\na b\ny=2\nf 1\n0077\n"
    )
    assert client.call("shell_list").json == [
        {"name": "main", "busy": False, "cwd": f"{server.root}/d"}
    ]
    assert client.call("shell_reset").result == {"existed": True}
    assert client.call("shell_reset").result == {"existed": False}
    assert out(client, 'pwd; echo "[$x]"') == f"{server.root}\n[]\n"


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("true", 0),
        ("false", 1),
        ("(exit 77)", 77),
        ("sh -c 'kill -9 $$'", 137),
        ("no-such-program-here", 127),
        ("return 3 2>/dev/null; false", 1),
        ("f() { return 250; }; f", 250),
        ("echo 'it''s' | grep -q \"'\"", 1),
        ("cat <<'END' >/dev/null\nit's\nEND\nsh -c 'exit 9'", 9),
        ("", 0),
        ("# only a comment", 0),
    ],
)
def test_exit_codes_are_exact(client: RawClient, command: str, code: int) -> None:
    reply = shell(client, command)
    assert (reply.result["exit_code"], reply.result["ended"]) == (code, False)


@pytest.mark.parametrize(
    ("command", "code"),
    [("exit 5", 5), ("set -e; sh -c 'exit 6'", 6), ("exec sh -c 'exit 7'", 7), ("kill -9 $$", 137)],
)
def test_a_shell_that_ends_itself_says_so(client: RawClient, command: str, code: int) -> None:
    shell(client, "x=1")
    reply = shell(client, f"echo last; {command}")
    assert (reply.result["exit_code"], reply.result["ended"]) == (code, True)
    assert streams(reply)[0] == b"last\n"
    fresh = shell(client, 'echo "[$x]"')
    assert (fresh.result["fresh"], streams(fresh)[0]) == (True, b"[]\n")


def test_a_syntax_error_is_the_commands_own(client: RawClient) -> None:
    reply = shell(client, "if then )")
    assert reply.result["exit_code"] != 0
    assert b"syntax" in reply.payload
    assert out(client, "echo fine") == "fine\n"


def test_outputs_are_separate_and_input_is_empty(client: RawClient) -> None:
    assert streams(shell(client, "echo one; echo two >&2; cat")) == (b"one\n", b"two\n")
    assert out(client, "exec >/dev/null 2>&1; echo unseen") == ""
    assert out(client, "echo seen again") == "seen again\n"


def test_output_cannot_pass_for_the_end(client: RawClient) -> None:
    """Numbers, our own words, and every descriptor a child of the shell could have inherited."""
    script = (
        "printf '0\\n'; printf '0\\n' >&2;"
        " for n in 3 4 5 6 7 8 9 10 11 12 13 255; do"
        " sh -c \"echo 0 >/dev/fd/$n\" 2>/dev/null && echo open $n; done; sh -c 'exit 42'"
    )
    reply = shell(client, script)
    assert reply.result["exit_code"] == 42
    assert b"open" not in reply.payload
    # The control: a descriptor that is open there is found so.
    assert "open 5" in out(client, "{ " + script + "; } 5>/dev/null")


def test_a_report_of_its_own_resets_the_shell(client: RawClient) -> None:
    shell(client, "trap 'printf \"0\\n\" >&7' DEBUG 2>/dev/null; true")
    for _ in range(3):
        reply = shell(client, "sh -c 'exit 3'")
        if not reply.header["ok"]:
            assert reply.code == "unavailable"
            assert reply.header["error"]["data"]["reset"] is True
    client.call("shell_reset")
    assert shell(client, "sh -c 'exit 3'").result["exit_code"] == 3


def test_a_large_command_and_much_output(client: RawClient) -> None:
    text = "'" * 50_000 + "x" * 50_000
    command = "cat <<'END'\n" + text + "\nEND"
    assert out(client, command) == text + "\n"
    assert client.call("shell_run", b"#" * 300_000).code == "invalid_argument"
    assert client.call("shell_run", b"a\0b").code == "invalid_argument"
    cut = shell(client, "printf BEGIN; head -c 500000 /dev/zero; printf END", keep_bytes=1000)
    assert cut.result["stdout"] == [500, 500, 500_008 - 1000]
    assert cut.payload.endswith(b"END")
    endless = shell(client, "yes", keep_bytes=1000, stop_at_limit=True)
    assert (endless.code, endless.header["error"]["data"]["reset"]) == ("too_large", True)


def test_output_is_streamed(client: RawClient, server: ToolServer) -> None:
    client.send(
        "shell_run", b"echo one; while [ ! -e go ]; do sleep 0.01; done; echo two", stream=True
    )
    first = client.receive()
    assert (first.header["stream"], first.payload) == ("stdout", b"one\n")
    (server.root / "go").touch()
    assert client.receive().payload == b"two\n"
    assert streams(client.receive())[0] == b"one\ntwo\n"


def test_a_timeout_kills_what_runs_and_resets(client: RawClient, server: ToolServer) -> None:
    script = "x=1; trap '' TERM; echo before; (setsid sleep 100 & echo $! > pid); sleep 100"
    reply = shell(client, script, timeout_s=0.5)
    assert (reply.code, reply.payload) == ("timeout", b"before\n")
    assert reply.header["error"]["data"]["reset"] is True
    assert "reset" in reply.header["error"]["message"]
    await_death(int(await_file(server.root / "pid")))
    assert out(client, 'echo "[$x]"') == "[]\n"


def test_cancelling_and_leaving_end_the_command(client: RawClient, server: ToolServer) -> None:
    doomed = client.send("shell_run", b"echo $$ > pid; sleep 100")
    pid = int(await_file(server.root / "pid"))
    assert client.call("shell_run", b"true").code == "busy"
    client.send_raw(b'{"cancel":%d}\n' % doomed)
    assert client.receive().code == "cancelled"
    await_death(pid)
    (server.root / "pid").unlink()
    with server.connect() as other:
        other.send("shell_run", b"echo $$ > pid; sleep 100")
        pid = int(await_file(server.root / "pid"))
    await_death(pid)
    assert out(client, "echo fine") == "fine\n"


def test_an_idle_shell_survives_its_client(server: ToolServer) -> None:
    with server.connect() as first:
        shell(first, "kept=yes; sleep 100 & echo $! > pid")
        background = int(await_file(server.root / "pid"))
    with server.connect() as second:
        assert out(second, "echo $kept") == "yes\n"
        assert alive(background)
        second.call("shell_reset")
    await_death(background)


def test_an_idle_shell_that_was_killed_is_replaced(client: RawClient) -> None:
    pid = int(out(client, "echo $$"))
    os.kill(pid, 9)
    await_death(pid)
    reply = shell(client, "echo fine")
    assert (reply.result["fresh"], reply.result["exit_code"]) == (True, 0)


def test_shells_are_separate_and_limited(client: RawClient) -> None:
    for number in range(8):
        shell(client, f"x={number}", name=f"n{number}")
    assert [out(client, "echo $x", name=f"n{n}") for n in (0, 7)] == ["0\n", "7\n"]
    assert shell(client, "true", name="one more").code == "limit_shells"
    client.call("shell_reset", name="n0")
    assert shell(client, "true", name="one more").result["exit_code"] == 0
    assert shell(client, "true", name="").code == "invalid_argument"
    assert shell(client, "true", name="a\nb").code == "invalid_argument"


def test_many_commands_leave_no_descriptor(client: RawClient, server: ToolServer) -> None:
    def descriptors() -> int:
        return len(os.listdir(f"/proc/{server.process.pid}/fd"))

    for _ in range(3):
        shell(client, "exit 0")
    before = descriptors()
    for _ in range(20):
        shell(client, "exit 0")
        shell(client, "sleep 9", timeout_s=0.05)
    assert descriptors() == before


def test_shells_end_with_the_server() -> None:
    with running() as server, server.connect() as client:
        pid = int(out(client, "echo $$"))
        server.process.terminate()
        server.process.wait(10)
        deadline = time.monotonic() + 10
        while alive(pid) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not alive(pid)


def test_without_bash_the_systems_shell_serves(tmp_path_factory: pytest.TempPathFactory) -> None:
    empty = str(tmp_path_factory.mktemp("programs"))
    with running(environment={"PATH": empty}) as server, server.connect() as client:
        shell(client, "PATH=/usr/bin:/bin; x=1")
        assert out(client, "echo $x; sh -c 'exit 0'") == "1\n"
        assert shell(client, "sh -c 'exit 9'").result["exit_code"] == 9
