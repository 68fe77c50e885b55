"""No secret of the installation or of the user is inside, nor where it could be looked up."""

from __future__ import annotations

import pytest

from tests.sandbox.probes.places import Places
from tests.sandbox.probes.probe import ROOT, RUNTIMES, Probe, cases, program

pytestmark = pytest.mark.xdist_group("probes-secrets")

EVERY_PROCESS = program(
    """
    # `WORD` is in the environment of the tests and of the process beside.
    found = []
    for each in filter(str.isdigit, os.listdir("/proc")):
        for name in ("environ", "cmdline"):
            try:
                if WORD.encode() in open(f"/proc/{each}/{name}", "rb").read():
                    found.append(each)
            except OSError:
                continue
    unless(found, errno.ENODATA)
    """
)

NAMES = program(
    """
    # Names of variables that hold keys of providers, tokens or ways to an agent of keys.
    telling = ("KEY", "TOKEN", "SECRET", "PASSWORD", "JIDO_", "SSH_", "DOCKER_", "REDIS", "PROXY")
    found = set()
    for each in filter(str.isdigit, os.listdir("/proc")):
        try:
            variables = open(f"/proc/{each}/environ", "rb").read().decode(errors="replace")
        except OSError:
            continue
        names = {line.partition("=")[0].upper() for line in variables.split("\\0")}
        found |= {name for name in names if any(word in name for word in telling)}
    # By this one the tool server finds what a command has started.
    unless(found - {"JIDO_COMMAND"}, errno.ENODATA)
    """
)

OPEN_FILES = program(
    """
    # Descriptors of any process that lead to a directory, a file or a device outside.
    harmless = ("/dev/null", "/dev/zero", "/dev/urandom", "/usr/", "/lib", PROJECT, "/proc")
    found = []
    for each in filter(str.isdigit, os.listdir("/proc")):
        try:
            names = os.listdir(f"/proc/{each}/fd")
        except OSError:
            continue
        for name in names:
            try:
                leads = os.readlink(f"/proc/{each}/fd/{name}")
            except OSError:
                continue
            if leads.startswith("/") and not leads.startswith(harmless):
                # A file of memory shows as one without a name.
                found += [leads] if not leads.startswith(("/memfd:", "/opt/jido/")) else []
    unless(found, errno.ENODATA)
    """
)

SOCKETS = program(
    """
    # Sockets of the host that a name leads to, abstract ones of others included.
    lines = read("/proc/net/unix").decode().splitlines()[1:]
    names = [line.split()[7] for line in lines if len(line.split()) > 7]
    unless([name for name in names if name.strip("@") != "jido" and "jido" in name], errno.ENODATA)
    """
)

PROBES = (
    Probe("find-a-secret-in-processes", EVERY_PROCESS, "ENODATA", "host-processes"),
    Probe("find-telling-variables", NAMES, "ENODATA", "told"),
    Probe("find-open-files", OPEN_FILES, "ENODATA", "host"),
    Probe("find-sockets", SOCKETS, "ENODATA", "host"),
    Probe("read-the-token", "read(TOKEN)", "ENOENT", "host"),
    Probe("list-the-home", "os.listdir(os.path.dirname(TOKEN))", "ENOENT", "host"),
    Probe(
        "read-the-machines-name",
        "unless(os.uname().nodename != 'sandbox', errno.ENODATA)",
        "ENODATA",
        "plain",
    ),
    Probe(
        "read-the-machines-identity",
        "read('/etc/machine-id')",
        "ENOENT ENODATA",
        "host",
        absent="ENOENT ENODATA",
    ),
    Probe(
        "read-the-users-keys",
        "os.listdir(os.path.expanduser('~root/.ssh'))",
        "EACCES ENOENT",
        "host",
        absent="ENOENT EACCES",
    ),
)


@cases(PROBES, RUNTIMES + ROOT)
def test_secrets(places: Places, place: str, probe: Probe) -> None:
    places.assert_denied(place, probe)
