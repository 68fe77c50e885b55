"""What a directory is: the contract's codes in the contract's order, and nothing trusted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.errors import (
    InvalidArgument,
    InvalidSettings,
    JidoError,
    ProjectPathMissing,
    ProjectPathNotAbsolute,
    ProjectPathNotAllowed,
    ProjectPathNotDirectory,
    ProjectPathNotFound,
    ProjectPathPermissionDenied,
    ProjectPathTooLong,
)
from orchestrator.supervisor.inspection import Inspector, Places, inspect, verify
from orchestrator.supervisor.project_settings import MAX_PROJECT_SETTINGS_BYTES
from tests.architecture.source_files import ROOT
from tests.support.requirements import require


@pytest.fixture
def roots(tmp_path: Path) -> Path:
    """The directory beneath which projects may lie."""
    roots = (tmp_path / "roots").resolve()
    roots.mkdir()
    return roots


@pytest.fixture
def places(roots: Path) -> Places:
    """What the machine allows."""
    return Places((str(roots),), str(roots / "me"), (str(roots / "me/.jido_code"),))


@pytest.fixture
def project(roots: Path) -> Path:
    """An ordinary project."""
    project = roots / "project"
    project.mkdir()
    return project


def test_an_ordinary_project(project: Path, places: Places) -> None:
    (project / "package.json").touch()
    (project / "tsconfig.json").touch()
    status = project.stat()
    assert inspect(f"{project}/", places) == {
        "real_path": str(project),
        "place": f"{status.st_dev}:{status.st_ino}",
        "owner_uid": status.st_uid,
        "owner_gid": status.st_gid,
        "language": "typescript",
        "settings": {},
        "widening": {},
        "settings_digest": None,
    }
    assert sorted(each.name for each in project.iterdir()) == ["package.json", "tsconfig.json"]


def test_a_link_leads_to_the_real_path(project: Path, roots: Path, places: Places) -> None:
    (roots / "link").symlink_to(project)
    assert inspect(str(roots / "link"), places)["real_path"] == str(project)


def test_dots_within_a_name_are_legal(roots: Path, places: Places) -> None:
    (roots / "v1..2").mkdir()
    assert inspect(str(roots / "v1..2"), places)["real_path"] == str(roots / "v1..2")


@pytest.mark.parametrize(
    ("path", "error"),
    [
        (None, ProjectPathMissing),
        ("   ", ProjectPathMissing),
        ("/" + "a/" * 3000, ProjectPathTooLong),
        ("relative/path", ProjectPathNotAbsolute),
        ("/nowhere/at/all", ProjectPathNotFound),
        ("/" + "n" * 300, ProjectPathTooLong),
        ("/etc/hostname/below", ProjectPathNotFound),
        ("/etc/passwd", ProjectPathNotDirectory),
        ("/etc", ProjectPathNotAllowed),
        ("/usr/lib", ProjectPathNotAllowed),
        ("/", ProjectPathNotAllowed),
        ("/proc/self", ProjectPathNotAllowed),
        ("/a\0b", InvalidArgument),
    ],
)
def test_refused_places(path: str | None, error: type[JidoError], places: Places) -> None:
    with pytest.raises(error) as raised:
        inspect(path, places)
    assert "\n" not in raised.value.detail


def test_the_first_fault_in_the_contracts_order_wins(roots: Path, places: Places) -> None:
    (roots / "file").touch(mode=0)
    outside = roots.parent / "outside"
    outside.mkdir(mode=0)
    with pytest.raises(ProjectPathNotDirectory):
        inspect(str(roots / "file"), places)
    with pytest.raises(ProjectPathNotAllowed):
        inspect(str(outside), places)
    outside.chmod(0o700)


def test_links_smuggle_nothing_in(roots: Path, places: Places) -> None:
    (roots / "system").symlink_to("/etc")
    (roots / "circle").symlink_to(roots / "circle")
    (roots / "dangling").symlink_to(roots / "nothing")
    with pytest.raises(ProjectPathNotAllowed):
        inspect(str(roots / "system"), places)
    for name in ("circle", "dangling"):
        with pytest.raises(ProjectPathNotFound):
            inspect(str(roots / name), places)


@pytest.mark.parametrize("place", ["", "me", "me/.jido_code", "me/.jido_code/sessions"])
def test_homes_roots_and_our_own_data_are_no_projects(
    place: str, roots: Path, places: Places
) -> None:
    (roots / "me/.jido_code/sessions").mkdir(parents=True)
    with pytest.raises(ProjectPathNotAllowed):
        inspect(str(roots / place), places)


def test_what_holds_our_own_data_is_no_project(project: Path, roots: Path) -> None:
    (project / "run").mkdir()
    places = Places((str(roots),), "/home/me", (str(project / "run"),))
    with pytest.raises(ProjectPathNotAllowed, match="JIDO_HOME"):
        inspect(str(project), places)


def test_a_directory_its_owner_cannot_read(project: Path, places: Places) -> None:
    for mode in (0o000, 0o300, 0o600, 0o077):
        project.chmod(mode)
        with pytest.raises(ProjectPathPermissionDenied):
            inspect(str(project), places)
    project.chmod(0o500)
    assert inspect(str(project), places)["real_path"] == str(project)
    project.chmod(0o700)


def test_names_that_are_no_text_are_refused(roots: Path, places: Places) -> None:
    odd = os.fsencode(roots) + b"/caf\xe9"
    os.mkdir(odd)
    (roots / "link").symlink_to(os.fsdecode(odd))
    with pytest.raises(InvalidArgument, match="UTF-8"):
        inspect(str(roots / "link"), places)


class TestSettings:
    """The project's own file."""

    @pytest.fixture
    def file(self, project: Path) -> Path:
        """Where the file lies."""
        (project / ".jido_code").mkdir()
        return project / ".jido_code/settings.json"

    @pytest.fixture(autouse=True)
    def _kept(self, project: Path, places: Places) -> None:
        self.look = lambda: inspect(str(project), places)

    def test_choices_count_and_explicit_zeros_stay(self, file: Path) -> None:
        values = {"provider": "openai", "model": "x", "temperature": 0.0, "max_tokens": 9}
        file.write_text(json.dumps(values | {"theme": "dark"}))
        found = self.look()
        assert found["settings"] == values | {"theme": "dark"}
        assert found["widening"] == {}
        assert len(found["settings_digest"]) == 64

    def test_what_widens_is_kept_apart(self, file: Path) -> None:
        file.write_text('{"approval": "all", "sandbox": {"network": "open"}, "model": "a:b"}')
        found = self.look()
        assert found["settings"] == {"model": "a:b"}
        assert found["widening"] == {"approval": "all", "sandbox": {"network": "open"}}

    @pytest.mark.parametrize("text", ["", " \n"])
    def test_an_empty_file_says_nothing(self, file: Path, text: str) -> None:
        file.write_text(text)
        assert self.look()["settings"] == {}

    def test_unknown_keys_are_named(self, file: Path) -> None:
        file.write_text('{"modle": 1, "image": "x", "sandbox": {"mounts": []}}')
        with pytest.raises(InvalidSettings, match="“modle”") as raised:
            self.look()
        assert raised.value.extra["keys"] == ["sandbox.mounts", "modle", "image"]

    @pytest.mark.parametrize(
        ("content", "says"),
        [
            (b"{", "not valid JSON"),
            (b"\xff\xfe", "not valid JSON"),
            (b"[" * 60_000, "not valid JSON"),
            (b'{"temperature": NaN}', "not valid JSON"),
            (b'{"max_tokens": ' + b"9" * 5000 + b"}", "not valid JSON"),
            (b"[]", "one JSON object"),
            (b'{"temperature": "hot"}', "temperature"),
            (b'{"approval": "never"}', "approval"),
            (b'{"\\u001b[2J": 1}', r"\?\[2J"),
            (b" " * (MAX_PROJECT_SETTINGS_BYTES + 1), "64 KiB"),
        ],
    )
    def test_hostile_content_ends_in_one_clear_line(
        self, file: Path, content: bytes, says: str
    ) -> None:
        file.write_bytes(content)
        with pytest.raises(InvalidSettings, match=says) as raised:
            self.look()
        assert raised.value.detail.isprintable()
        assert len(raised.value.detail) < 500

    def test_a_link_is_not_followed(self, file: Path, tmp_path: Path) -> None:
        secret = tmp_path / "secret.json"
        secret.write_text('{"model": "a:b"}')
        file.symlink_to(secret)
        with pytest.raises(InvalidSettings, match="symbolic link"):
            self.look()
        file.unlink()
        file.parent.rmdir()
        file.parent.symlink_to(tmp_path)
        with pytest.raises(InvalidSettings, match="symbolic link"):
            self.look()

    def test_pipes_and_directories_are_refused_at_once(self, file: Path) -> None:
        os.mkfifo(file)
        with pytest.raises(InvalidSettings, match="regular file"):
            self.look()
        file.unlink()
        file.mkdir()
        with pytest.raises(InvalidSettings, match="regular file"):
            self.look()

    look: Any = None


async def test_the_inspector_answers_off_the_loop(project: Path, places: Places) -> None:
    inspector = Inspector(places)
    try:
        assert (await inspector.inspect(str(project)))["real_path"] == str(project)
        with pytest.raises(ProjectPathMissing):
            await inspector.inspect(None)
    finally:
        inspector.close()


class TestVerification:
    """Asked again before every start: nothing may have been put in the project's place."""

    def test_an_unchanged_project_passes(self, project: Path, places: Places) -> None:
        status = project.stat()
        verify(str(project), status.st_uid, status.st_gid, places)

    def test_a_link_in_its_place_is_refused(
        self, project: Path, roots: Path, places: Places
    ) -> None:
        status = project.stat()
        project.rmdir()
        for target in (roots.parent, Path("/etc")):
            project.symlink_to(target)
            with pytest.raises(ProjectPathNotAllowed, match="leads somewhere else"):
                verify(str(project), status.st_uid, status.st_gid, places)
            project.unlink()

    def test_another_owner_and_another_place_are_refused(
        self, project: Path, roots: Path, places: Places
    ) -> None:
        status = project.stat()
        with pytest.raises(ProjectPathNotAllowed, match="another owner"):
            verify(str(project), status.st_uid + 1, status.st_gid, places)
        etc = Path("/etc").stat()
        with pytest.raises(ProjectPathNotAllowed):
            verify("/etc", etc.st_uid, etc.st_gid, places)

    def test_a_project_that_is_gone(self, project: Path, places: Places) -> None:
        project.rmdir()
        with pytest.raises(ProjectPathNotFound):
            verify(str(project), 0, 0, places)


def _state(directory: Path) -> list[tuple[str, int, int]]:
    """What any write would change: names, and when directories and files changed."""
    found = []
    for path in [directory, *sorted(directory.rglob("*"))]:
        status = path.lstat()
        found.append((str(path), status.st_mtime_ns, status.st_ctime_ns))
    return found


@pytest.mark.parametrize("mode", [0o700, 0o500])
def test_looking_leaves_no_trace(project: Path, places: Places, mode: int) -> None:
    (project / ".git").mkdir()
    (project / ".jido_code").mkdir()
    (project / ".jido_code/settings.json").write_text('{"temperature": 0.5}')
    project.chmod(mode)
    before = _state(project)
    status = project.stat()
    assert inspect(str(project), places)["settings"] == {"temperature": 0.5}
    verify(str(project), status.st_uid, status.st_gid, places)
    assert _state(project) == before
    project.chmod(0o700)
    (project / "probe").touch()
    assert _state(project) != before, "the control: a probe would have been seen"


def test_every_way_to_a_directory_leads_to_one_place(
    project: Path, roots: Path, places: Places
) -> None:
    (roots / "link").symlink_to("project")
    (roots / "chain").symlink_to(roots / "link")
    (roots / "other/deep").mkdir(parents=True)
    (roots / "other/up").symlink_to("../project")
    ways = ("project/", "/project", "link", "chain/.", "other/up", "other/deep/../../project")
    found = [inspect(f"{roots}/{way}", places) for way in ways]
    assert {each["real_path"] for each in found} == {str(project)}
    assert {each["place"] for each in found} == {found[0]["place"]}
    assert inspect(str(roots / "other"), places)["place"] != found[0]["place"]


_LOOK = """
import encodings.idna, json, os, sys
from orchestrator.domain.errors import JidoError
from orchestrator.supervisor.inspection import Places, inspect
user, roots, *paths = sys.argv[1:]
if user != "root":
    os.setgroups([])
    os.setgid(int(user))
    os.setuid(int(user))
for path in paths:
    try:
        found = inspect(path, Places((roots,), "/nowhere", ()))
        print(json.dumps([found["real_path"], found["place"]]))
    except JidoError as error:
        print(json.dumps(error.code))
"""


def _look(*paths: str, user: str = "root", before: Sequence[str] = ()) -> list[Any]:
    """Look in a process of its own: at `paths`, the first of which is the root of projects."""
    done = subprocess.run(
        [*before, sys.executable, "-c", _LOOK, user, *paths],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_directory_mounted_twice_is_one_place(project: Path, roots: Path) -> None:
    require(os.getuid() == 0, "Mounting needs root.")
    (roots / "mounted").mkdir()
    mount = 'mount --bind "$1" "$2" && shift 2 && exec "$@"'
    before = ["unshare", "-m", "sh", "-c", mount, "sh", str(project), f"{roots}/mounted"]
    one, other = _look(str(roots), str(project), f"{roots}/mounted", before=before)
    assert (one[0], other[0]) == (str(project), f"{roots}/mounted")
    assert one[1] == other[1]


def test_what_cannot_be_reached_is_refused_by_where_it_lies(roots: Path) -> None:
    require(os.getuid() == 0, "Becoming somebody else needs root.")
    readable = [*roots.parents, roots]
    modes = {path: path.stat().st_mode for path in readable if path.stat().st_uid == 0}
    (roots / "closed/inside").mkdir(parents=True)
    (roots / "closed").chmod(0o700)
    outside = roots.parent / "outside"
    (outside / "inside").mkdir(parents=True)
    outside.chmod(0o700)
    try:
        for path, mode in modes.items():
            path.chmod(mode | 0o055)
        found = _look(str(roots), f"{roots}/closed/inside", f"{outside}/inside", user="65534")
    finally:
        for path, mode in modes.items():
            path.chmod(mode)
    assert found == ["project_path_permission_denied", "project_path_not_allowed"]
