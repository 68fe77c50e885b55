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
        "syscall('pidfd_getfd', -1, 0, 0, reached='EBADF')",
        "EPERM ENOSYS",
        "unfiltered",
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
    places.judge(place, probe)
