"""System calls into the kernel's wide, young or privileged corners."""

from __future__ import annotations

import platform

import pytest

from tests.sandbox.probes.places import Places
from tests.sandbox.probes.probe import Probe, cases, program

pytestmark = pytest.mark.xdist_group("probes-system-calls")

SET_TICK = program(
    """
    # struct timex: modes ADJ_TICK with a tick that is out of range.
    timex = ctypes.create_string_buffer(struct.pack("=I", 0x4000), 256)
    syscall({call}, timex, reached="EINVAL")
    """
)

EVENTS = program(
    """
    # perf_event_attr: a software clock of this process.
    attributes = ctypes.create_string_buffer(struct.pack("=IIQ", 1, 112, 0), 112)
    syscall("perf_event_open", attributes, 0, -1, -1, 0)
    """
)

PARAMETERS = "ctypes.create_string_buffer(120)"


def called(
    name: str, arguments: str, reached: str = "", control: str = "privileged", absent: str = ""
) -> Probe:
    words = f"syscall({', '.join(filter(None, (repr(name), arguments)))}, reached='{reached}')"
    return Probe(name, words, "EPERM ENOSYS", control, absent=absent)


CALLS = (
    called("keyctl", "0, -3, 1", control="unfiltered"),
    called("add_key", "b'user', b'probe', b'x', 1, -2", control="unfiltered"),
    called("request_key", "b'user', b'no-such-key', None, 0", "ENOKEY", "unfiltered"),
    called("io_uring_setup", f"1, {PARAMETERS}", control="unfiltered"),
    called("io_uring_enter", "-1, 0, 0, 0, None, 0", "EBADF", "unfiltered"),
    called("io_uring_register", "-1, 0, None, 0", "EBADF EINVAL", "unfiltered"),
    called("userfaultfd", "1", control="unfiltered"),
    called("bpf", "0, ctypes.create_string_buffer(120), 120", "EINVAL E2BIG"),
    Probe("perf_event_open", EVENTS, "EPERM ENOSYS", "privileged"),
    called("kexec_load", "0, 0, None, 0", "EINVAL", absent="ENOSYS"),
    called("kexec_file_load", "-1, -1, 0, None, 0", "EBADF EINVAL", absent="ENOSYS"),
    called("init_module", "None, 0, b''", "ENOEXEC EFAULT", absent="ENOSYS"),
    called("finit_module", "-1, b'', 0", "EBADF", absent="ENOSYS"),
    called("delete_module", "b'no-such', 0", "ENOENT", absent="ENOSYS"),
    called("reboot", "0, 0, 0, None", "EINVAL"),
    called("swapon", "b'own', 0", "EINVAL", absent="ENOSYS"),
    called("swapoff", "b'own'", "EINVAL", absent="ENOSYS"),
    called("acct", "b'/no/such/file'", "ENOENT", absent="ENOSYS"),
    called("quotactl", "0x800003 << 8, b'/dev/no-such', 0, None", "ENOENT ENOTBLK ENODEV"),
    called("settimeofday", "None, None"),
    called("clock_settime", "0, None", "EFAULT"),
    Probe("adjtimex", SET_TICK.format(call="'adjtimex'"), "EPERM", "privileged"),
    Probe("clock_adjtime", SET_TICK.format(call="'clock_adjtime', 0"), "EPERM", "privileged"),
    called("sethostname", "b'probe', 5"),
    called("setdomainname", "b'probe', 5"),
    called("syslog", "3, ctypes.create_string_buffer(16), 16"),
    called("fanotify_init", "0, 0"),
    called("open_by_handle_at", "-1, None, 0", "EFAULT EBADF"),
    called("vhangup", ""),
    called("move_pages", "0, 0, None, None, None, 0", control="unfiltered"),
    called("mbind", "None, 0, 0, None, 0, 0", control="unfiltered"),
    called("process_madvise", "-1, None, 0, 20, 0", "EBADF EINVAL"),
    called("quotactl_fd", "-1, 0, 0, None", "EBADF"),
    called("lookup_dcookie", "0, None, 0", "EINVAL", absent="ENOSYS"),
    called("personality", "0x0040000", control="unfiltered"),
    called("uselib", "b'/no/such'", "ENOENT", absent="ENOSYS"),
    called("statmount", "None, None, 0, 0", "EFAULT EINVAL", "unfiltered", absent="ENOSYS"),
    called("listmount", "None, None, 0, 0", "EFAULT EINVAL", "unfiltered", absent="ENOSYS"),
)

INTEL = (
    called("iopl", "3", absent="ENOSYS"),
    called("ioperm", "0x80, 1, 1", absent="ENOSYS"),
    called("modify_ldt", "1, None, 0", "EINVAL ENOSYS", "unfiltered"),
    Probe(
        "keyctl-of-32-bits",
        "call_of_32_bits(288, 0, 'ENOKEY EINVAL')",
        "EPERM SIGSYS",
        "unfiltered",
    ),
    Probe("unshare-of-32-bits", "call_of_32_bits(310, 0x10000000)", "EPERM SIGSYS", "unfiltered"),
    Probe("mount-of-32-bits", "call_of_32_bits(21, 0, 'EFAULT')", "EPERM SIGSYS", "privileged"),
    Probe(
        "io_uring-of-32-bits",
        "call_of_32_bits(425, 0, 'EINVAL EFAULT')",
        "EPERM SIGSYS",
        "unfiltered",
    ),
    Probe(
        "call-of-the-x32-interface",
        "NUMBERS['x32'] = 0x40000000 | 39; syscall('x32')",
        "ENOSYS SIGSYS",
        "unfiltered",
        absent="ENOSYS",
    ),
)
PROBES = (*CALLS, *INTEL) if platform.machine() == "x86_64" else CALLS


@cases(PROBES)
def test_system_calls(places: Places, place: str, probe: Probe) -> None:
    places.assert_denied(place, probe)
