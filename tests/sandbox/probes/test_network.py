"""No network but loopback, no family of sockets that only reaches into the kernel."""

from __future__ import annotations

import pytest

from tests.sandbox.probes.places import Places
from tests.sandbox.probes.probe import Probe, cases, program

pytestmark = pytest.mark.xdist_group("probes-network")


def family(name: str, number: int, kind: str, protocol: int = 0, absent: str = "") -> Probe:
    """A socket the kernel knows: EAFNOSUPPORT says that only it could refuse."""
    made = program(
        f"""
        try:
            socket.socket({number}, {kind}, {protocol})
        except OSError as error:
            if error.errno not in (errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.EINVAL):
                raise
        """
    )
    return Probe(f"socket-of-{name}", made, "EPERM", "privileged", absent=absent)


def unreachable(name: str, address: str, port: str, version: str = "AF_INET") -> Probe:
    """A datagram socket's connect sends nothing: it asks for a route."""
    asked = f"socket.socket(socket.{version}, socket.SOCK_DGRAM).connect(({address}, {port}))"
    return Probe(name, asked, "ENETUNREACH", "networked")


def asked(name: str, request: int, control: str, reached: str = "") -> Probe:
    """A request to a socket's network, at its device `lo` where it is about one."""
    made = program(
        f"""
        maker = socket.socket(socket.AF_UNIX)
        maker.bind(".probes/{name}")
        device = ctypes.create_string_buffer(struct.pack("16s24s", b"lo", b""))
        # Also with bits that the kernel does not read.
        for number in ({request}, {request} | 1 << 32):
            syscall("ioctl", maker.fileno(), number, device, reached="{reached}")
        """
    )
    return Probe(name, made, "EPERM", control)


STREAM = "socket.SOCK_STREAM"

NOT_THERE = "EOPNOTSUPP ENOTSUP ENOTTY EINVAL ENODEV ENOPKG EFAULT"
"""What kernels say of devices and features that they do not have."""

SET_LINK = program(
    """
    # RTM_NEWLINK: bring the loopback device down and up, which only its owner may.
    import fcntl
    device = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    request = struct.pack("16sH14s", b"lo", 0x49, b"")
    fcntl.ioctl(device, 0x8914, request)
    """
)

OTHER_DEVICE = program(
    """
    unless([name for _, name in socket.if_nameindex() if name != "lo" and name != "tunl0"
            and not name.startswith(("sit", "ip6", "gre", "erspan", "ip_vti"))], errno.ENODEV)
    """
)

NETFILTER = program(
    """
    # NFNL_MSG: a new table of packet filters.
    control = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
    message = struct.pack("=IHHIIBBH", 20, (10 << 8) | 1, 5, 1, 0, 1, 0, 0)
    control.send(message)
    control.settimeout(3)
    told = struct.unpack_from("=i", control.recv(4096), 16)[0]
    unless(told != -errno.EPERM)
    """
)

ROUTE = program(
    """
    # RTM_NEWROUTE: a route to everything through loopback.
    control = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    route = struct.pack("=BBBBBBBBI", 2, 0, 0, 0, 254, 3, 0, 1, 0)
    link = struct.pack("=HHI", 8, 4, 1)
    control.send(struct.pack("=IHHII", 16 + 12 + 8, 24, 0x405, 1, 0) + route + link)
    control.settimeout(3)
    told = struct.unpack_from("=i", control.recv(4096), 16)[0]
    unless(told == 0, -told)
    """
)

PROBES = (
    family("packets", 17, "socket.SOCK_RAW", 768),
    family("raw-packets", 2, "socket.SOCK_RAW", 1),
    family("raw-packets-of-version-6", 10, "socket.SOCK_RAW", 58),
    family("hypervisors", 40, STREAM),
    family("cryptography", 38, "socket.SOCK_SEQPACKET"),
    family("keys", 15, "socket.SOCK_RAW", 2),
    family("bluetooth", 31, "socket.SOCK_RAW"),
    family("cars", 29, "socket.SOCK_RAW", 1),
    family("radios", 39, "socket.SOCK_SEQPACKET"),
    family("clusters", 30, STREAM),
    family("datagrams-of-racks", 21, "socket.SOCK_SEQPACKET"),
    family("express-data", 44, "socket.SOCK_RAW"),
    unreachable("reach-the-machine", "ADDRESS", "PORT"),
    unreachable("reach-the-gateway", "'172.17.0.1'", "PORT"),
    unreachable("reach-metadata", "'169.254.169.254'", "80"),
    unreachable("reach-names", "'1.1.1.1'", "53"),
    unreachable("reach-the-neighbours", "'224.0.0.251'", "5353"),
    Probe(
        "connect-to-the-machine",
        "socket.create_connection((ADDRESS, PORT), 5)",
        "ENETUNREACH",
        "networked",
    ),
    Probe(
        "connect-to-the-machines-loopback",
        "socket.create_connection(('127.0.0.1', PORT), 5)",
        "ECONNREFUSED",
        "host",
    ),
    Probe(
        "reach-version-6",
        "socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).connect(('2001:db8::1', 53))",
        "ENETUNREACH EADDRNOTAVAIL EACCES",
        "networked",
        absent="ENETUNREACH EADDRNOTAVAIL EAFNOSUPPORT EACCES",
    ),
    Probe("find-a-device", OTHER_DEVICE, "ENODEV", "networked"),
    Probe("take-a-device-down", SET_LINK, "EPERM", "privileged"),
    Probe("add-a-route", ROUTE, "EPERM", "privileged"),
    # SIOCGSKNS, SIOCUNIXFILE, SIOCBONDINFOQUERY, SIOCDEVPRIVATE, SIOCGIWNAME and SIOCGIFBR.
    asked("take-the-network-of-a-socket", 0x894C, "privileged"),
    asked("open-the-file-of-a-socket", 0x89E0, "privileged"),
    asked("ask-for-bonds", 0x8994, "unfiltered", NOT_THERE),
    asked("ask-a-driver", 0x89F0, "unfiltered", NOT_THERE),
    asked("ask-for-wireless-networks", 0x8B01, "unfiltered", NOT_THERE),
    asked("ask-for-bridges", 0x8940, "unfiltered", NOT_THERE),
    Probe(
        "filter-packets",
        NETFILTER,
        "EPERM EPROTONOSUPPORT",
        "privileged",
        absent="EPROTONOSUPPORT",
    ),
    Probe(
        "connect-to-an-abstract-socket",
        "socket.socket(socket.AF_UNIX).connect('\\0' + ABSTRACT)",
        "ECONNREFUSED",
        "host",
    ),
    Probe(
        "connect-to-a-socket-beside",
        "socket.socket(socket.AF_UNIX).connect(BESIDE)",
        "ENOENT",
        "host",
    ),
    Probe(
        "connect-to-the-engine",
        "socket.socket(socket.AF_UNIX).connect('/var/run/docker.sock')",
        "ENOENT",
        "host",
        absent="ENOENT EACCES",
    ),
)


@cases(PROBES)
def test_network(places: Places, place: str, probe: Probe) -> None:
    places.assert_denied(place, probe)
