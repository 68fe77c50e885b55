"""Mounts, roots and namespaces: what a sandbox is made of cannot be made or undone inside."""

from __future__ import annotations

import pytest

from tests.sandbox.probes.places import Places
from tests.sandbox.probes.probe import Probe, cases, program

pytestmark = pytest.mark.xdist_group("probes-mounts")

NAMESPACES = {
    "user": 0x10000000,
    "mount": 0x00020000,
    "network": 0x40000000,
    "process": 0x20000000,
    "interprocess": 0x08000000,
    "host-name": 0x04000000,
    "group": 0x02000000,
    "time": 0x00000080,
}

MOUNT = "syscall('mount', {source}, {target}, {kind}, {flags}, {data})"


def mount(
    name: str, source: str, target: str, kind: str = "None", flags: int = 0, data: str = "None"
) -> Probe:
    words = {"source": source, "target": target, "kind": kind, "flags": flags, "data": data}
    return Probe(name, MOUNT.format(**words), "EPERM", "privileged")


def unshared(name: str, flag: int) -> Probe:
    return Probe(f"unshare-{name}", f"syscall('unshare', {flag})", "EPERM", "privileged")


def cloned(name: str, flag: int) -> Probe:
    made = program(
        f"""
        child = syscall("clone", {flag} | signal.SIGCHLD, 0, 0, 0, 0)
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        """
    )
    return Probe(f"clone-{name}", made, "EPERM", "privileged")


CLONE3 = program(
    """
    arguments = (ctypes.c_uint64 * 11)(0x10000000, 0, 0, 0, signal.SIGCHLD)
    child = syscall("clone3", ctypes.byref(arguments), 88)
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    """
)

NO_FILE = "EBADF EINVAL ENOENT EFAULT"

PROBES = (
    mount("mount-memory", "b'none'", "b'/tmp'", "b'tmpfs'"),
    mount("mount-a-directory-elsewhere", "PROJECT.encode()", "b'/opt'", flags=4096),
    mount("mount-processes", "b'proc'", "b'/proc'", "b'proc'"),
    mount("mount-the-machine", "b'sysfs'", "b'/opt'", "b'sysfs'"),
    mount(
        "mount-over-the-system", "b'overlay'", "b'/usr'", "b'overlay'", 0, "b'lowerdir=/usr:/opt'"
    ),
    mount("mount-the-root-writable", "None", "b'/'", flags=32 | 4096),
    mount("share-mounts-with-the-host", "None", "b'/'", flags=1 << 20),
    Probe("unmount-a-protection", "syscall('umount2', b'.git/hooks', 2)", "EPERM", "protected"),
    Probe(
        "make-a-protection-writable",
        "syscall('mount', None, b'.git/hooks', None, 32 | 4096, None)",
        "EPERM",
        "protected",
    ),
    Probe(
        "mount-with-the-program",
        "shell('PATH=/usr/bin:/usr/sbin:/bin mount -t tmpfs none /tmp')",
        "EPERM",
        "privileged",
    ),
    Probe("open-a-file-system", "syscall('fsopen', b'tmpfs', 0)", "EPERM ENOSYS", "privileged"),
    Probe(
        "configure-a-file-system",
        "syscall('fsconfig', -1, 6, None, None, 0, reached='EBADF EINVAL')",
        "EPERM ENOSYS",
        "privileged",
    ),
    Probe(
        "mount-a-file-system",
        f"syscall('fsmount', -1, 0, 0, reached='{NO_FILE}')",
        "EPERM ENOSYS",
        "privileged",
    ),
    Probe("pick-a-file-system", "syscall('fspick', -100, b'/', 0)", "EPERM ENOSYS", "privileged"),
    Probe("copy-a-mount", "syscall('open_tree', -100, b'/', 1)", "EPERM ENOSYS", "privileged"),
    Probe(
        "move-a-mount",
        f"syscall('move_mount', -1, b'', -1, b'', 4, reached='{NO_FILE}')",
        "EPERM ENOSYS",
        "privileged",
    ),
    Probe(
        "change-a-mount",
        "syscall('mount_setattr', -100, b'/', 0, (ctypes.c_uint64 * 4)(), 32)",
        "EPERM ENOSYS",
        "privileged",
    ),
    Probe(
        "change-the-root-of-mounts",
        "syscall('pivot_root', b'/tmp', b'/tmp', reached='EINVAL EBUSY')",
        "EPERM",
        "privileged",
    ),
    Probe("change-the-root", "syscall('chroot', b'.')", "EPERM", "privileged"),
    Probe(
        "enter-a-namespace",
        "syscall('setns', os.open('/proc/1/ns/net', os.O_RDONLY), 0)",
        "EPERM EACCES",
        "privileged",
    ),
    Probe("clone3-user", CLONE3, "EPERM ENOSYS", "privileged"),
    Probe("unshare-with-the-program", "shell('unshare -r true')", "EPERM", "privileged"),
    *(unshared(name, flag) for name, flag in NAMESPACES.items()),
    *(cloned(name, flag) for name, flag in NAMESPACES.items() if name != "time"),
)


@cases(PROBES)
def test_mounts_and_namespaces(places: Places, place: str, probe: Probe) -> None:
    places.assert_denied(place, probe)
