"""No capability in any set, none to be gained, and no other user's rights."""

from __future__ import annotations

import pytest

from tests.sandbox.probes.places import Places
from tests.sandbox.probes.probe import ROOT, RUNTIMES, Probe, cases, program

pytestmark = pytest.mark.xdist_group("probes-privileges")

INHERIT = program(
    """
    # CAP_CHOWN from the permitted into the inheritable set.
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = (ctypes.c_uint32 * 6)()
    LIBC.capget(header, sets) and refuse(ctypes.get_errno())
    sets[2] |= 1
    LIBC.capset(header, sets) and refuse(ctypes.get_errno())
    """
)

AMBIENT = INHERIT + "\nLIBC.prctl(47, 2, 0, 0, 0) and refuse(ctypes.get_errno())"


def capability(name: str) -> Probe:
    return Probe(f"{name.lower()}-set", f"unless(int(status('{name}'), 16))", "EPERM", "privileged")


PROBES = (
    capability("CapPrm"),
    capability("CapEff"),
    capability("CapBnd"),
    Probe("capinh-set", INHERIT, "EPERM", "privileged"),
    Probe("capamb-set", AMBIENT, "EPERM", "privileged"),
    Probe(
        "take-back-no-new-privileges",
        "unless(LIBC.prctl(39, 0, 0, 0, 0) == 0)",
        "EPERM",
        "gaining",
    ),
    Probe(
        "setuid-program",
        "unless(shell(f'{PROJECT}/setuid-id -u').strip() != str(os.getuid()))",
        "EPERM",
        "gaining",
    ),
    Probe(
        "program-with-capabilities",
        "unless(int(shell('./capable-grep CapEff /proc/self/status').split()[1], 16))",
        "EPERM",
        "gaining",
    ),
    Probe("become-another-user", "os.setuid(1)", "EPERM EINVAL", "plain"),
    Probe("become-another-group", "os.setgid(1)", "EPERM EINVAL", "plain"),
    Probe("take-another-saved-user", "os.setresuid(-1, -1, 1)", "EPERM EINVAL", "plain"),
    Probe("join-a-group", "os.setgroups([1])", "EPERM EINVAL", "plain"),
    Probe("give-a-file-away", "os.chown('own', 1, 1)", "EPERM EINVAL", "plain"),
    Probe("plant-a-setuid-program", "os.chmod('own', 0o4755)", "EPERM", "unfiltered"),
    Probe(
        "make-a-setuid-program",
        "os.close(os.open('made', os.O_CREAT | os.O_WRONLY, 0o4755))",
        "EPERM",
        "unfiltered",
    ),
    Probe("make-a-setuid-node", "os.mknod('node', 0o4755 | stat.S_IFREG)", "EPERM", "unfiltered"),
    Probe(
        "mark-a-program-with-capabilities",
        "os.setxattr('own', 'security.capability', "
        "bytes.fromhex('0100000200200000000000000000000000000000'))",
        "EPERM",
        "plain",
    ),
    Probe("be-scheduled-before-others", "os.nice(-5)", "EPERM EACCES", "privileged"),
    Probe(
        "be-scheduled-in-real-time",
        "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))",
        "EPERM",
        "host",
        # Where the kernel shares real time out to groups and gives the tests' none.
        absent="EPERM",
    ),
    Probe(
        "raise-a-limit",
        "LIBC.setrlimit(7, (ctypes.c_uint64 * 2)(5000, 5000)) and refuse(ctypes.get_errno())",
        "EPERM",
        "unlimited",
    ),
    Probe(
        "be-spared-when-memory-runs-out",
        "write('/proc/self/oom_score_adj', b'-1')",
        "EACCES EPERM",
        "privileged",
        # Where root itself lacks the capability.
        absent="EACCES",
    ),
)


@cases(PROBES, RUNTIMES + ROOT)
def test_privileges(places: Places, place: str, probe: Probe) -> None:
    places.assert_denied(place, probe)
