"""What /proc, /sys and control groups offer a process that may write or read them."""

from __future__ import annotations

import pytest

from tests.sandbox.probes.places import Places
from tests.sandbox.probes.probe import ROOT, RUNTIMES, Probe, cases, program

pytestmark = pytest.mark.xdist_group("probes-kernel-interfaces")

DENIED = "EROFS EACCES EPERM ENOENT ENODATA"
"""Not there, not readable, masked by an empty file, or read-only."""

ABSENT = "ENOENT ENODEV ENODATA EIO EINVAL"

ADDRESSES = program(
    """
    # The kernel's addresses; zeros are no addresses.
    unless([line for line in read("/proc/kallsyms").splitlines() if int(line.split()[0], 16)])
    """
)

EVERY_SETTING = program(
    """
    # Each file of /proc that is not a process's own may be opened for writing by nobody.
    found, tried = [], 0
    for directory, names, files in os.walk("/proc"):
        if directory == "/proc":
            left_out = ("self", "thread-self", "pressure")
            names[:] = [name for name in names if not name.isdigit() and name not in left_out]
        for name in files:
            tried += 1
            try:
                write(f"{directory}/{name}")
            except OSError:
                continue
            if not os.path.samefile(f"{directory}/{name}", "/dev/null"):
                found.append(f"{directory}/{name}")
    assert tried > 100
    unless(found, errno.EROFS)
    """
)

EVERY_OF_THE_MACHINE = program(
    """
    found = []
    for directory, names, files in os.walk("/sys"):
        names[:] = [name for name in names if name != "unified"]
        for name in files:
            try:
                write(f"{directory}/{name}")
            except OSError:
                continue
            if not os.path.samefile(f"{directory}/{name}", "/dev/null"):
                found.append(name)
        if found:
            break
    unless(found, errno.EROFS)
    """
)


def named(path: str) -> str:
    return path.strip("/").replace("/", "-").replace("_", "-")


def opened(path: str, control: str = "privileged") -> Probe:
    """A file of the kernel that must not open for writing."""
    return Probe(f"write-{named(path)}", f"write('{path}')", DENIED, control, absent=ABSENT)


def seen(path: str, control: str = "privileged") -> Probe:
    """A file of the kernel that must not show its content."""
    return Probe(f"read-{named(path)}", f"read('{path}')", DENIED, control, absent=ABSENT)


PROBES = (
    Probe("write-every-setting", EVERY_SETTING, "EROFS", "privileged"),
    Probe("write-everything-of-the-machine", EVERY_OF_THE_MACHINE, "EROFS", "privileged"),
    Probe("read-the-kernels-addresses", ADDRESSES, "EPERM EACCES ENODATA", "privileged"),
    opened("/proc/sysrq-trigger"),
    opened("/proc/sys/kernel/core_pattern"),
    opened("/proc/sys/kernel/hostname"),
    opened("/proc/sys/kernel/randomize_va_space"),
    opened("/proc/sys/vm/overcommit_memory"),
    opened("/proc/sys/vm/drop_caches"),
    opened("/proc/sys/net/ipv4/ip_forward"),
    opened("/proc/sys/fs/binfmt_misc/register"),
    opened("/proc/irq/0/smp_affinity"),
    opened("/proc/mtrr"),
    opened("/proc/scsi/scsi"),
    seen("/proc/kcore"),
    seen("/proc/kmsg"),
    seen("/proc/keys"),
    seen("/proc/key-users"),
    seen("/proc/timer_list"),
    seen("/proc/kpagecount"),
    seen("/proc/kpageflags"),
    seen("/proc/kpagecgroup"),
    seen("/proc/slabinfo"),
    seen("/proc/sched_debug"),
    seen("/proc/vmallocinfo"),
    seen("/proc/config.gz"),
    seen("/sys/kernel/tracing/trace"),
    seen("/sys/firmware/acpi/tables/DSDT"),
    seen("/sys/kernel/notes"),
    opened("/sys/power/state"),
    opened("/sys/kernel/mm/transparent_hugepage/enabled"),
    opened("/sys/devices/system/cpu/cpu0/uevent"),
    opened("/sys/module/kernel/parameters/panic"),
    opened("/sys/block/loop0/queue/read_ahead_kb"),
    opened("/sys/fs/cgroup/memory/cgroup.procs"),
    opened("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
    opened("/sys/fs/cgroup/pids/pids.max"),
    opened("/sys/fs/cgroup/memory/release_agent"),
    Probe(
        "make-a-control-group",
        "os.mkdir('/sys/fs/cgroup/memory/probe'); os.rmdir('/sys/fs/cgroup/memory/probe')",
        "EROFS ENOENT",
        "privileged",
        absent="ENOENT EPERM",
    ),
)


@cases(PROBES, RUNTIMES + ROOT)
def test_kernel_interfaces(places: Places, place: str, probe: Probe) -> None:
    places.assert_denied(place, probe)
