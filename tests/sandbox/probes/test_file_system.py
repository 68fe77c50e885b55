"""Nothing but the project is writable, and nothing beside it is in sight."""

from __future__ import annotations

import pytest

from tests.sandbox.probes.places import Places
from tests.sandbox.probes.probe import ROOT, Probe, cases, program

pytestmark = pytest.mark.xdist_group("probes-file-system")

EVERY_MOUNT = program(
    """
    # Every mount of this process but those of the project; a mount of a file is opened.
    tried, found = set(), []
    for line in read("/proc/self/mountinfo").decode().splitlines():
        path = line.split()[4]
        if path.startswith((PROJECT, "/proc")):
            continue
        tried.add(path)
        try:
            plant(f"{path}/.probe") if os.path.isdir(path) else write(path)
        except OSError as error:
            continue
        if not stat.S_ISCHR(os.stat(path).st_mode):
            found.append(path)
    assert "/" in tried
    unless(found, errno.EROFS)
    """
)

EVERY_DIRECTORY = program(
    """
    def found():
        for directory, names, files in os.walk("/"):
            names[:] = [] if directory in ("/proc", "/sys", PROJECT) else names
            if directory not in ("/proc", PROJECT):
                with suppress(OSError):
                    plant(f"{directory}/.probe")
                    yield directory
    unless(next(found(), None), errno.EROFS)
    """
)

EVERY_FILE = program(
    """
    def found():
        for top in ("/bin", "/etc", "/lib", "/opt", "/run", "/var", "/dev"):
            for directory, _, files in os.walk(top):
                for path in (f"{directory}/{name}" for name in files):
                    with suppress(OSError):
                        if stat.S_ISREG(os.lstat(path).st_mode):
                            write(path)
                            yield path
    unless(next(found(), None), errno.EROFS)
    """
)


def plant_in(directory: str, control: str = "plain") -> Probe:
    name = "plant-in-" + directory.replace("/", "-").strip("-")
    kinds = "EROFS EACCES" if directory in ("/root", "/dev", "/dev/shm") else "EROFS"
    return Probe(name, f"plant('{directory}/.probe')", kinds, control, bubblewrap="EROFS")


PROBES = (
    Probe("plant-in-every-mount", EVERY_MOUNT, "EROFS", "temporary"),
    Probe("plant-in-every-directory", EVERY_DIRECTORY, "EROFS", "writable"),
    Probe("write-every-file", EVERY_FILE, "EROFS", "plain"),
    Probe("plant-in-the-root", "plant('/.probe')", "EROFS", "plain"),
    plant_in("/etc"),
    plant_in("/usr"),
    plant_in("/usr/local/bin"),
    plant_in("/opt/jido/toolserver"),
    plant_in("/home"),
    plant_in("/root"),
    plant_in("/run"),
    plant_in("/var/lib"),
    plant_in("/dev"),
    plant_in("/tmp", "writable"),
    plant_in("/var/tmp", "writable"),
    plant_in("/run/lock", "writable"),
    plant_in("/dev/shm", "temporary"),
    plant_in("/dev/mqueue", "plain"),
    Probe("write-a-program", "write('/usr/bin/env')", "EACCES EROFS", "plain"),
    Probe("write-the-users", "write('/etc/passwd')", "EACCES EROFS", "plain"),
    Probe("replace-a-program", "os.rename('/usr/bin/less', '/usr/bin/file')", "EROFS", "plain"),
    Probe("remove-a-program", "os.unlink('/usr/bin/tail')", "EROFS", "plain"),
    Probe("own-a-program", "os.chown('/usr/bin/cat', OWNER, GROUP)", "EROFS", "plain"),
    Probe("open-a-program-to-all", "os.chmod('/usr/bin/cat', 0o777)", "EROFS", "plain"),
    Probe("read-a-file-beside-the-project", "read(SECRET)", "ENOENT", "host"),
    Probe("read-another-project", "read(f'{OTHER}/file')", "ENOENT", "host"),
    Probe("list-another-project", "os.listdir(OTHER)", "ENOENT", "host"),
    Probe("read-through-a-link", "read('to-secret')", "ENOENT", "host"),
    Probe(
        "read-through-a-process-outside", "read(f'/proc/{HOST_PID}/root{SECRET}')", "ENOENT", "host"
    ),
    Probe("link-a-file-beside-the-project", "os.link(SECRET, 'linked')", "ENOENT", "host"),
    Probe("rename-out-of-the-project", "os.rename('own', OTHER + '/own')", "ENOENT", "host"),
    Probe("read-the-passwords", "read('/etc/shadow')", "EACCES", "plain", bubblewrap="ENOENT"),
    Probe("read-roots-home", "os.listdir('/root')", "EACCES", "plain", bubblewrap="ENOENT"),
)


@cases(PROBES)
def test_files_outside_the_project(places: Places, place: str, probe: Probe) -> None:
    places.assert_denied(place, probe)


OF_ROOT = tuple(each for each in PROBES if "EROFS" in each.refused or each.refused == "ENOENT")


@cases(OF_ROOT, ROOT)
def test_files_outside_a_project_of_root(places: Places, place: str, probe: Probe) -> None:
    places.assert_denied(place, probe)
