"""Processes, memory and terminals outside a sandbox are out of its reach."""

from __future__ import annotations

import pytest

from tests.sandbox.probes.places import Places
from tests.sandbox.probes.probe import ROOT, RUNTIMES, Probe, cases, program

pytestmark = pytest.mark.xdist_group("probes-processes")

READ_MEMORY = program(
    """
    # iovec of this process and one of theirs, which need not be mapped.
    own = ctypes.create_string_buffer(8)
    mine = (ctypes.c_void_p * 2)(ctypes.addressof(own), 8)
    theirs = (ctypes.c_void_p * 2)(4096, 8)
    syscall("{call}", HOST_PID, mine, 1, theirs, 1, 0, reached="EFAULT EIO")
    """
)

TRACE = program(
    """
    syscall("ptrace", 0x4206, HOST_PID, None, None)
    syscall("ptrace", 17, HOST_PID, None, None, reached="ESRCH EIO")
    """
)

TAKE_A_FILE = program(
    """
    child = os.fork()
    if child == 0:
        time.sleep(60)
    syscall("pidfd_getfd", os.pidfd_open(child), 0, 0)
    """
)

ENTER = program(
    """
    # CLONE_NEWUTS of this process itself, which changes nothing.
    syscall("setns", os.pidfd_open(os.getpid()), 0x04000000)
    """
)

HOLD_A_PEER = program(
    """
    # SO_PEERPIDFD, also with bits that the kernel does not read.
    here, there = socket.socketpair()
    handle, size = ctypes.c_int(-1), ctypes.c_int(4)
    syscall(
        "getsockopt", here.fileno(), 1 | {above}, 77 | {above},
        ctypes.byref(handle), ctypes.byref(size),
    )
    unless(handle.value >= 0)
    """
)

BE_HANDED_A_PEER = program(
    """
    # SO_PASSPIDFD: SCM_PIDFD comes along with whatever is received.
    here, there = socket.socketpair()
    here.setsockopt(socket.SOL_SOCKET, 76, 1)
    there.send(b"x")
    unless([kind for _, kind, _ in here.recvmsg(1, 64)[1] if kind == 4], errno.ENOMSG)
    """
)

FIND_THEIRS = program(
    """
    found = []
    for each in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = open(f"/proc/{each}/cmdline", "rb").read()
        except OSError:
            # It has ended since.
            continue
        if b"\\0600\\0" in words:
            found.append(each)
    unless(found, errno.ESRCH)
    """
)

FIND_A_TERMINAL = program(
    """
    found = []
    for each in filter(str.isdigit, os.listdir("/proc")):
        try:
            fields = open(f"/proc/{each}/stat").read().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[4] != "0":
            found.append(each)
    unless(found, errno.ENXIO)
    """
)

PROBES = (
    Probe("signal-a-process", "os.kill(HOST_PID, 0)", "ESRCH", "host-processes"),
    Probe("hold-a-process", "os.pidfd_open(HOST_PID)", "ESRCH", "host-processes"),
    Probe("find-processes", FIND_THEIRS, "ESRCH", "host-processes"),
    Probe("see-a-process", "read(f'/proc/{HOST_PID}/cmdline')", "ENOENT", "host-processes"),
    Probe("read-its-environment", "read(f'/proc/{HOST_PID}/environ')", "ENOENT", "host"),
    Probe("enter-its-directory", "os.listdir(f'/proc/{HOST_PID}/cwd')", "ENOENT", "host"),
    Probe("open-its-files", "os.listdir(f'/proc/{HOST_PID}/fd')", "ENOENT", "host"),
    Probe("open-its-memory", "read(f'/proc/{HOST_PID}/maps')", "ENOENT", "host"),
    Probe("read-its-memory", READ_MEMORY.format(call="process_vm_readv"), "ESRCH EPERM", "host"),
    Probe("write-its-memory", READ_MEMORY.format(call="process_vm_writev"), "ESRCH EPERM", "host"),
    Probe("trace-a-process", TRACE, "ESRCH EPERM", "host"),
    Probe(
        "take-a-file-of-a-process",
        TAKE_A_FILE,
        "EPERM ENOSYS",
        "unfiltered",
    ),
    Probe("enter-a-process", ENTER, "EPERM", "privileged"),
    Probe(
        "hold-who-is-at-the-other-end",
        HOLD_A_PEER.format(above=0),
        "ENOPROTOOPT",
        "unfiltered",
        absent="ENOPROTOOPT",
    ),
    Probe(
        "hold-them-past-the-filter",
        HOLD_A_PEER.format(above=1 << 32),
        "EPERM ENOPROTOOPT",
        "unfiltered",
        absent="ENOPROTOOPT",
    ),
    Probe(
        "be-handed-who-sends",
        BE_HANDED_A_PEER,
        "ENOPROTOOPT",
        "unfiltered",
        absent="ENOPROTOOPT",
    ),
    Probe("compare-processes", "syscall('kcmp', os.getpid(), 1, 0, 0, 0)", "EPERM", "privileged"),
    Probe("slow-a-process", "os.setpriority(os.PRIO_PROCESS, HOST_PID, 5)", "ESRCH", "host"),
    Probe(
        "limit-a-process",
        "resource.prlimit(HOST_PID, resource.RLIMIT_CORE)",
        "ESRCH",
        "host-processes",
    ),
    Probe("bind-a-process", "os.sched_setaffinity(HOST_PID, {0})", "ESRCH", "host"),
    Probe("signal-its-group", "os.killpg(os.getpgid(HOST_PID), 0)", "ESRCH", "host"),
    Probe(
        "attach-shared-memory",
        "unless(LIBC.shmat(SEGMENT, None, 0o10000) != -1, ctypes.get_errno())",
        "EINVAL EIDRM",
        "host-interprocess",
    ),
    Probe("find-a-terminal", FIND_A_TERMINAL, "ENXIO", "terminal"),
)


@cases(PROBES, RUNTIMES + ROOT)
def test_processes(places: Places, place: str, probe: Probe) -> None:
    places.assert_denied(place, probe)
