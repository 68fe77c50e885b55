"""No device but the harmless ones, and none to be made."""

from __future__ import annotations

import pytest

from tests.sandbox.probes.places import Places
from tests.sandbox.probes.probe import ROOT, RUNTIMES, Probe, cases, program

pytestmark = pytest.mark.xdist_group("probes-devices")

OTHER_DEVICES = program(
    """
    harmless = {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "console"}
    found = []
    for directory, names, files in os.walk("/dev"):
        names[:] = [name for name in names if name != "pts"]
        for name in files:
            mode = os.lstat(f"{directory}/{name}").st_mode
            if (stat.S_ISCHR(mode) or stat.S_ISBLK(mode)) and name not in harmless:
                found.append(name)
    unless(found, errno.ENODEV)
    """
)


def opened(device: str) -> Probe:
    return Probe(
        f"open-{device.replace('/', '-')}",
        f"os.close(os.open('/dev/{device}', os.O_RDONLY | os.O_NONBLOCK))",
        "ENOENT",
        "privileged",
        absent="ENOENT ENODEV ENXIO EIO",
    )


def made(name: str, kind: str, major: int, minor: int) -> Probe:
    return Probe(
        f"make-{name}",
        f"os.mknod('device', 0o600 | stat.{kind}, os.makedev({major}, {minor})); "
        "os.unlink('device')",
        "EPERM",
        "plain",
    )


PROBES = (
    Probe("find-other-devices", OTHER_DEVICES, "ENODEV", "privileged"),
    *(
        opened(name)
        for name in (
            "kmsg", "mem", "fuse", "kvm", "loop-control", "loop0", "net/tun",
            "btrfs-control", "vsock", "userfaultfd", "tty0", "ttyS0", "hwrng",
            "autofs",
        )
    ),
    Probe(
        "open-a-disk",
        "os.close(os.open(DISK, os.O_RDONLY))",
        "ENOENT",
        "privileged",
        absent="ENOENT EPERM",
    ),
    made("a-disk", "S_IFBLK", 8, 0),
    made("the-memory", "S_IFCHR", 1, 1),
    made("a-null-device", "S_IFCHR", 1, 3),
    Probe("write-a-disk", "write(DISK)", "ENOENT", "privileged", absent="ENOENT EPERM"),
)  # fmt: skip


@cases(PROBES, RUNTIMES + ROOT)
def test_devices(places: Places, place: str, probe: Probe) -> None:
    places.assert_denied(place, probe)
