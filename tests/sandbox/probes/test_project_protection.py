"""The places of a project that would run code outside, and every way of replacing them."""

from __future__ import annotations

import pytest

from tests.sandbox.probes.places import Places
from tests.sandbox.probes.probe import ROOT, RUNTIMES, Probe, cases, program

pytestmark = pytest.mark.xdist_group("probes-project-protection")

PROTECTED_FILES = (".git/config", ".git/commondir", ".jido_code/settings.json")
FIXED = (".git", ".git/hooks", *PROTECTED_FILES, ".jido_code")


def named(path: str) -> str:
    return path.strip(".").replace("/.", "-").replace("/", "-").replace(".", "-")


def writes(path: str) -> list[Probe]:
    name = named(path)
    return [
        Probe(f"write-{name}", f"write('{path}', b'')", "EROFS", "unprotected"),
        Probe(
            f"truncate-{name}",
            f"os.truncate('{path}', os.path.getsize('{path}'))",
            "EROFS",
            "unprotected",
        ),
        Probe(f"mode-of-{name}", f"os.chmod('{path}', 0o666)", "EROFS", "unprotected"),
        Probe(f"link-{name}", f"os.link('{path}', 'second-{name}')", "EXDEV", "unprotected"),
    ]


def moves(path: str) -> list[Probe]:
    name = named(path)
    back = f"os.rename('{path}', 'away'); os.rename('away', '{path}')"
    over = program(
        f"""
        # A copy takes the place, as an editor or git would do it.
        if os.path.isdir("{path}"):
            os.mkdir("new-{name}")
            syscall("renameat2", -100, b"{path}", -100, b"new-{name}", 2)
            syscall("renameat2", -100, b"{path}", -100, b"new-{name}", 2)
        else:
            shutil.copy("{path}", "fresh")
            os.rename("fresh", "{path}")
        """
    )
    return [
        Probe(f"rename-{name}", back, "EBUSY EROFS EXDEV", "unprotected"),
        Probe(f"replace-{name}", over, "EBUSY EROFS EXDEV", "unprotected"),
    ]


def removal(path: str) -> Probe:
    kept = program(
        f"""
        # Emptied and made again where that is allowed.
        place = "{path}"
        if os.path.isdir(place):
            shutil.copytree(place, "kept", symlinks=True)
            try:
                shutil.rmtree(place)
            finally:
                os.path.exists(place) or os.rename("kept", place)
                shutil.rmtree("kept", ignore_errors=True)
        else:
            os.rename(place, "kept")
            os.link("kept", place)
            os.unlink(place)
            os.rename("kept", place)
        """
    )
    return Probe(f"remove-{named(path)}", kept, "EBUSY EROFS EXDEV", "unprotected")


PROBES = (
    *(probe for path in PROTECTED_FILES for probe in writes(path)),
    *(probe for path in FIXED for probe in moves(path)),
    *(removal(path) for path in PROTECTED_FILES),
    removal(".git/hooks"),
    Probe("plant-a-hook", "plant('.git/hooks/post-checkout')", "EROFS", "unprotected"),
    Probe("link-a-hook", "os.symlink('/tmp/x', '.git/hooks/pre-push')", "EROFS", "unprotected"),
    Probe("open-hooks-to-all", "os.chmod('.git/hooks', 0o777)", "EROFS", "unprotected"),
    Probe("configure-with-git", "shell('git config core.fsmonitor x')", "EBUSY", "unprotected"),
    Probe("move-hooks-with-git", "shell('git config core.hooksPath x')", "EBUSY", "unprotected"),
    Probe("rename-the-project", "os.rename(PROJECT, PROJECT + '2')", "EBUSY EROFS", "host"),
)


@cases(PROBES, RUNTIMES + ROOT)
def test_protected_places(places: Places, place: str, probe: Probe) -> None:
    places.assert_denied(place, probe)
