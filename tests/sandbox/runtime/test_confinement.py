"""What a sandbox cannot reach outside its project; each refusal with a control that succeeds."""

from __future__ import annotations

import ctypes
import os
import platform
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.sandboxes.seccomp import ARCHITECTURES
from tests.support.docker import containers, docker, inspect, remove
from tests.support.requirements import SANDBOX_IMAGE
from tests.support.sandboxes import LIMITS, Sandboxes

WRITABLE = """
import os
for directory, names, files in os.walk('/'):
    if directory == '/':
        names[:] = [name for name in names if name not in ('proc', 'sys')]
    if directory.startswith(os.getcwd()):
        names[:] = []
        continue
    probe = os.path.join(directory, '.probe')
    try:
        os.close(os.open(probe, os.O_CREAT | os.O_WRONLY, 0o600))
        print(directory)
    except OSError:
        pass
    for name in files:
        path = os.path.join(directory, name)
        try:
            if not os.path.islink(path) and os.path.isfile(path):
                os.close(os.open(path, os.O_WRONLY))
                print(path)
        except OSError:
            pass
"""

CALLS = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
for word in sys.argv[1:]:
    name, number = word.split('=')
    libc.syscall(int(number), 0, 0, 0, 0, 0, 0)
    print(name, ctypes.get_errno())
"""


def outside(command: list[str]) -> str:
    """Run the control of a refusal on the host."""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


async def test_nothing_but_the_project_is_writable(sandboxes: Sandboxes) -> None:
    sandbox = await sandboxes.start()
    done = await sandbox.python(WRITABLE)
    assert (done.exit_code, done.stdout) == (0, ""), done.stderr
    # The walk does find what is writable: a place given on purpose.
    given = await sandboxes.start(
        sandboxes.project("given"), limits=replace(LIMITS, tmpfs_bytes=1_048_576)
    )
    assert set((await given.python(WRITABLE)).stdout.split()) >= {"/tmp", "/dev/shm"}


async def test_no_capability_and_no_new_privilege(sandboxes: Sandboxes) -> None:
    sandbox = await sandboxes.start()
    done = await sandbox.shell("grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status")
    facts = dict(line.split(":\t") for line in done.stdout.splitlines())
    assert {facts[name] for name in facts if name.startswith("Cap")} == {"0" * 16}
    assert (facts["NoNewPrivs"], facts["Seccomp"]) == ("1", "2")


async def test_no_network_but_loopback(sandboxes: Sandboxes) -> None:
    sandbox = await sandboxes.start()
    done = await sandbox.shell("tail -n +3 /proc/net/dev | cut -d: -f1; cat /proc/net/route")
    assert done.stdout.split()[0] == "lo"
    assert len(done.stdout.splitlines()) <= 2
    route = "import socket; socket.socket(2, 2).connect(('198.51.100.1', 9))"
    refused = await sandbox.python(route)
    assert "Network is unreachable" in refused.stderr
    inside = "import socket; s = socket.create_server(('127.0.0.1', 0)); \
socket.create_connection(s.getsockname()); print('reached')"
    assert (await sandbox.python(inside)).stdout == "reached\n"


async def test_the_hosts_abstract_sockets_are_out_of_reach(sandboxes: Sandboxes) -> None:
    name = f"jido-test-{os.getpid()}"
    connect = f"import socket; socket.socket(socket.AF_UNIX).connect('\\0{name}'); print('reached')"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0{name}")
        listener.listen()
        assert outside([sys.executable, "-c", connect]) == "reached\n"
        sandbox = await sandboxes.start()
        assert "Connection refused" in (await sandbox.python(connect)).stderr


async def test_other_processes_are_invisible(sandboxes: Sandboxes) -> None:
    sandbox = await sandboxes.start()
    script = "ls /proc | grep -c '^[0-9]*$'"
    inside = int((await sandbox.shell(script)).stdout)
    assert inside < 12 <= int(outside(["sh", "-c", script]))


async def test_the_environment_is_closed(
    sandboxes: Sandboxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "secret-of-the-host")
    sandbox = await sandboxes.start()
    done = await sandbox.shell("cat /proc/*/environ | tr '\\0' '\\n'")
    assert "PATH=" in done.stdout
    assert "secret-of-the-host" not in done.stdout


async def test_the_hosts_files_are_out_of_sight(sandboxes: Sandboxes) -> None:
    secret = sandboxes.base / "beside"
    secret.write_text("secret")
    secret.chmod(0o644)
    sandbox = await sandboxes.start()
    assert (await sandbox.shell(f"cat {secret}")).exit_code != 0
    assert (await sandbox.shell("cat /etc/shadow")).exit_code != 0
    assert (await sandbox.shell(f"ls {sandboxes.base}")).stdout == "project\n"
    assert (await sandbox.shell("cat /etc/passwd")).exit_code == 0
    assert secret.read_text() == "secret"


async def test_namespaces_and_mounts_are_refused(sandboxes: Sandboxes) -> None:
    sandbox = await sandboxes.start()
    for command in ("unshare -U true", "unshare -r -m true", "mount -t tmpfs none /tmp"):
        assert (await sandbox.shell(command)).exit_code != 0, command
    clone = "import ctypes; libc = ctypes.CDLL(None, use_errno=True); \
print(libc.syscall({clone}, 0x10000000 | 17, 0, 0, 0, 0), ctypes.get_errno())"
    number = ARCHITECTURES[platform.machine()].clone
    assert (await sandbox.python(clone.format(clone=number))).stdout == "-1 1\n"
    assert (await sandbox.python("import os; print(os.waitpid(os.fork(), 0)[1])")).exit_code == 0


REFUSED_EVERYWHERE = (
    "add_key", "bpf", "finit_module", "init_module", "io_uring_setup", "kexec_load", "keyctl",
    "mount", "move_mount", "open_tree", "perf_event_open", "pivot_root", "request_key", "setns",
    "userfaultfd",
)  # fmt: skip


async def test_dangerous_system_calls_are_refused(sandboxes: Sandboxes) -> None:
    numbers = ARCHITECTURES[platform.machine()].refused
    words = [f"{name}={numbers[name]}" for name in REFUSED_EVERYWHERE]
    sandbox = await sandboxes.start()
    done = await sandbox.workspace.run(["python3", "-c", CALLS, *words])
    answers = dict(line.split() for line in done.stdout.splitlines())
    assert set(answers.values()) <= {"1", "38"}, answers
    assert set(answers) == set(REFUSED_EVERYWHERE)
    # Outside the same call with the same arguments fails by its arguments, not by a filter.
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall(numbers["request_key"], 0, 0, 0, 0, 0, 0)
    assert ctypes.get_errno() not in (0, 1, 38)


async def test_sockets_to_the_hypervisor_are_refused(sandboxes: Sandboxes) -> None:
    sandbox = await sandboxes.start()
    done = await sandbox.python("import socket; socket.socket(40, 1)")
    assert done.exit_code != 0
    assert "not permitted" in done.stderr or "not supported" in done.stderr
    assert (await sandbox.python("import socket; socket.socket(1, 1)")).exit_code == 0


SOCKETS = """
import asyncio, errno, fcntl, socket, struct

async def echo(reader, writer):
    writer.write(await reader.readline())
    writer.close()

async def main(socket_path):
    server = await asyncio.start_unix_server(echo, socket_path)
    reader, writer = await asyncio.open_unix_connection(socket_path)
    writer.write(b"line\\n")
    assert await reader.readline() == b"line\\n"
    server.close()

asyncio.run(main(".jido_code/tmp/s"))
one, other = socket.socketpair()
assert struct.unpack("3i", one.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0] > 0
assert one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
# Options of other levels with the numbers of those that are missing: of version 6 of the protocol.
for option in (76, 77):
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as datagrams:
        datagrams.setsockopt(socket.IPPROTO_IPV6, option, 0)
# What C, Java and others read of the devices: their list, a name, an index, an address.
assert fcntl.ioctl(one, 0x8912, struct.pack("iP", 0, 0))
assert socket.if_indextoname(socket.if_nametoindex("lo")) == "lo"
with socket.socket() as internet:
    address = fcntl.ioctl(internet, 0x8915, struct.pack("16s24s", b"lo", b""))[20:24]
    assert address == bytes([127, 0, 0, 1])
try:
    one.getsockopt(socket.SOL_SOCKET, 77)
except OSError as error:
    print(errno.errorcode[error.errno])
"""


async def test_sockets_of_ordinary_programs_work(sandboxes: Sandboxes) -> None:
    sandbox = await sandboxes.start()
    done = await sandbox.python(SOCKETS)
    # As on a kernel without that option, where programs fall back; another errno would end some.
    assert (done.exit_code, done.stdout) == (0, "ENOPROTOOPT\n"), done.stderr


async def test_setuid_programs_gain_nothing(sandboxes: Sandboxes) -> None:
    sandbox = await sandboxes.start()
    planted = sandbox.project / "planted"
    planted.write_bytes(Path("/usr/bin/id").read_bytes())
    if os.getuid() == 0:
        os.chown(planted, 0, 0)
    planted.chmod(0o4755)
    done = await sandbox.workspace.run([str(planted), "-u"])
    assert done.stdout.strip() == str(sandboxes.owner[0])


async def test_limits_of_files_and_cores(sandboxes: Sandboxes) -> None:
    sandbox = await sandboxes.start()
    done = await sandbox.shell("ulimit -c; ulimit -n; ulimit -Hc; ulimit -c 1")
    assert done.stdout.split() == ["0", "4096", "0"]
    assert done.exit_code != 0


async def test_what_is_written_to_the_engines_log_goes_nowhere(sandboxes: Sandboxes) -> None:
    sandbox = await sandboxes.start()
    script = "for fd in 1 2; do head -c 64M /dev/zero > /proc/1/fd/$fd; done 2>/dev/null; echo done"
    assert (await sandbox.shell(script)).stdout == "done\n"
    assert (await sandbox.shell("echo alive")).stdout == "alive\n"
    if sandboxes.kind == "docker":
        (name,) = containers(f"jido.session={sandbox.spec.session_id}")
        assert inspect(name)["LogPath"] == ""
        assert docker("logs", name, check=False) == ""
        # With the engine's usual driver the same write is kept.
        words = ["--log-driver=json-file", "--entrypoint=/bin/sh", SANDBOX_IMAGE]
        loose = docker("run", "--detach", *words, "-c", "head -c 1M /dev/zero > /proc/1/fd/1")
        try:
            docker("wait", loose.strip())
            assert len(docker("logs", loose.strip())) > 1_000_000
        finally:
            remove([loose.strip()])
    else:
        kept = sum(map(memory_file_bytes, processes_of(sandboxes.base)))
        assert 0 < kept < 100_000


def processes_of(base: Path) -> list[int]:
    """Processes whose command line names a directory."""
    found = subprocess.run(["pgrep", "-f", str(base)], capture_output=True, text=True, check=False)
    return [int(word) for word in found.stdout.split()]


def memory_file_bytes(pid: int) -> int:
    """Bytes of the memory file that is a process's standard error; 0 when it has none."""
    try:
        place = f"/proc/{pid}/fd/2"
        return os.stat(place).st_size if "memfd:" in os.readlink(place) else 0
    except OSError:
        return 0


async def test_processes_are_limited_and_the_session_lives_on(sandboxes: Sandboxes) -> None:
    sandbox = await sandboxes.start(limits=replace(LIMITS, pids=40))
    program = """
import os, time
made = 0
try:
    for _ in range(200):
        if os.fork() == 0:
            time.sleep(30)
            os._exit(0)
        made += 1
except OSError:
    print(made, flush=True)
os.killpg(0, 9)
"""
    done = await sandbox.shell(f"setsid -w python3 -c '{program}'; true")
    assert 0 < int(done.stdout or 0) < 40, done
    assert (await sandbox.shell("echo alive")).stdout == "alive\n"
    roomy = await sandboxes.start(sandboxes.project("roomy"), limits=replace(LIMITS, pids=400))
    unlimited = await roomy.shell(f"setsid -w python3 -c '{program}'; true")
    assert unlimited.stdout == ""


async def test_memory_is_limited_and_the_session_lives_on(sandboxes: Sandboxes) -> None:
    sandbox = await sandboxes.start(limits=replace(LIMITS, memory_bytes=128 * 1024 * 1024))
    hog = "print(len(bytearray({} * 1024 * 1024)))"
    assert (await sandbox.python(hog.format(20))).exit_code == 0
    assert (await sandbox.python(hog.format(400))).exit_code != 0
    assert (await sandbox.shell("echo alive")).stdout == "alive\n"
