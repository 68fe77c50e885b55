"""Every operation that takes a path, on generated trees, against a model of what it must do.

The model computes from the tree what a path leads to. Beside that, whatever lies outside the
project must be untouched after each step, and none of its content may ever be in an answer.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.path_model import File, Folder, Link, Node, Project, Refused, photograph, picture
from tests.support.toolserver import RawClient, RawReply, ToolServer

MODEL = settings(
    max_examples=80,
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
SECRET = b"SECRET-outside"
INSIDE = b"inside"

NAMES = ["a", "b", "-e", os.fsdecode(b"\xff"), "outside"]
"""Few, so that paths meet what is there; the same names exist outside."""

ROOT, BASE = "/@project", "/@base"
"""Stand for the project and what holds it, so that examples do not depend on where they are."""

_name = st.sampled_from(NAMES)
_step = st.sampled_from([*NAMES, *NAMES, "..", "..", ".", ""])
_relative = st.lists(_step, min_size=1, max_size=6).map("/".join)


_PATHS = st.one_of(
    _relative,
    _relative,
    _relative.map(lambda path: f"{ROOT}/{path}"),
    _relative.map(lambda path: f"{BASE}/outside/{path}"),
    _relative.map(lambda path: f"../outside/{path}"),
    _relative.map(lambda path: f"/{path}"),
    _relative.map(lambda path: f"{path}//./"),
    st.sampled_from([".", "..", "", "/", ROOT, f"{ROOT}/", f"{ROOT}x", BASE, "/etc/passwd"]),
    st.sampled_from(["n" * 300, "a\0b", "\ud800", "a/" * 3000, "a/" + "n" * 300]),
    st.just("a/../" * 500 + "a"),
)
"""Paths of every kind that somebody may give, or write into a link."""


def _fits(path: str) -> bool:
    try:
        encoded = os.fsencode(path)
    except UnicodeEncodeError:
        return False
    return 0 < len(encoded) < 4000 and b"\0" not in encoded


_LEAVES = st.one_of(
    st.builds(File, st.just(INSIDE)),
    st.builds(Link, _PATHS.filter(_fits)),
    st.builds(Link, _name),
    st.builds(Link, st.sampled_from(["../outside", "../outside/a", f"{BASE}/outside/b", ".."])),
    st.builds(Link, st.sampled_from([".", "../a", f"{ROOT}/a/b", "a/../b", "../../outside/a"])),
)
_ENTRIES = st.recursive(
    st.dictionaries(_name, _LEAVES, min_size=1, max_size=5),
    lambda inner: st.dictionaries(
        _name, _LEAVES | st.builds(Folder, inner), min_size=1, max_size=5
    ),
    max_leaves=14,
)
"""Entries of a directory, with everything beneath."""


@dataclass(frozen=True)
class Step:
    """One request."""

    operation: str
    path: str
    target: str
    flag: bool


OPERATIONS = [
    *("read", "write", "edit", "stat", "exists", "list", "make_dir", "remove", "rename"),
    *("realpath", "glob", "grep", "run"),
]


def _known(entries: dict[str, Node], prefix: str = "") -> list[str]:
    """Paths of everything in a tree."""
    found = []
    for name, node in entries.items():
        found.append(prefix + name)
        if isinstance(node, Folder):
            found += _known(node.entries, f"{prefix}{name}/")
    return found


@st.composite
def stories(draw: st.DrawFn) -> tuple[dict[str, Node], list[Step]]:
    """A tree and what is asked of it, often of what is there."""
    entries: dict[str, Node] = dict(draw(_ENTRIES))
    known = st.sampled_from(_known(entries))
    path = st.one_of(
        known,
        known,
        known.map(lambda path: f"{ROOT}/{path}"),
        st.builds("{}/{}".format, known, _relative),
        st.just("."),
        _PATHS,
    )
    step = st.builds(Step, st.sampled_from(OPERATIONS), path, path, st.booleans())
    return entries, draw(st.lists(step, min_size=4, max_size=12))


def placed(text: str, root: str) -> str:
    """Put the real directories in place of their stand-ins."""
    return text.replace(ROOT, root).replace(BASE, os.path.dirname(root))


def place_links(folder: Folder, root: str) -> None:
    for node in folder.entries.values():
        if isinstance(node, Link):
            node.target = placed(node.target, root)
        elif isinstance(node, Folder):
            place_links(node, root)


class Expectation:
    """What each operation must answer, by the model; changes the model as the operation does."""

    def __init__(self, project: Project) -> None:
        self.project = project

    def of(self, step: Step) -> object:
        """The answer, or `Refused`."""
        return getattr(self, step.operation)(step)

    def _file(self, step: Step) -> File:
        node = self.project.find(step.path).node
        if node is None:
            raise Refused("not_found")
        if isinstance(node, Folder):
            raise Refused("is_directory")
        assert isinstance(node, File)
        return node

    def _folder(self, path: str) -> tuple[Folder, str]:
        spot = self.project.find(path)
        if spot.node is None:
            raise Refused("not_found")
        if not isinstance(spot.node, Folder):
            raise Refused("not_directory")
        return spot.node, spot.relative

    def read(self, step: Step) -> object:
        return self._file(step).content

    def edit(self, step: Step) -> object:
        file = self._file(step)
        if INSIDE not in file.content:
            raise Refused("no_match")
        file.content = file.content.replace(INSIDE, b"edited " + INSIDE[:3], 1)
        return True

    def write(self, step: Step) -> object:
        spot = self.project.find(step.path, create=True)
        if isinstance(spot.node, Folder):
            raise Refused("is_directory")
        created = spot.node is None
        spot.folder.entries[spot.name] = File(b"written " + INSIDE)
        return created

    def stat(self, step: Step) -> object:
        spot = self.project.find(step.path, follow=step.flag)
        if spot.node is None:
            raise Refused("not_found")
        kind = {File: "file", Folder: "directory", Link: "link"}[type(spot.node)]
        return kind, spot.relative

    def exists(self, step: Step) -> object:
        try:
            return self.project.find(step.path).node is not None
        except Refused as refused:
            if refused.code in ("not_found", "not_directory", "link_loop"):
                return False
            raise

    def list(self, step: Step) -> object:
        folder, relative = self._folder(step.path)
        rows = []
        for name in folder.entries:
            node: Node | None
            try:
                node = self.project.find(f"{self.project.root}/{relative}/{name}").node
            except Refused:
                node = None
            size = len(node.content) if isinstance(node, File) else None
            rows.append((name, isinstance(node, Folder), size))
        return sorted(rows)

    def make_dir(self, step: Step) -> object:
        spot = self.project.find(step.path, create=True)
        if spot.node is None:
            spot.folder.entries[spot.name] = Folder()
            return True
        if not isinstance(spot.node, Folder):
            raise Refused("exists")
        return False

    def remove(self, step: Step) -> object:
        plain = os.path.normpath(step.path).rstrip("/") + "/"
        if step.path.startswith("/") and f"{self.project.root}/".startswith(plain):
            raise Refused("invalid_argument")
        spot = self.project.find(step.path, follow=False)
        if spot.name == ".":
            raise Refused("invalid_argument")
        if spot.node is None:
            raise Refused("not_found")
        del spot.folder.entries[spot.name]
        return True

    def rename(self, step: Step) -> object:
        old = self.project.find(step.path, follow=False)
        if old.name == ".":
            raise Refused("invalid_argument")
        if old.node is None:
            raise Refused("not_found")
        new = self.project.find(step.target, follow=False, create=True)
        if new.name == ".":
            raise Refused("invalid_argument")
        if new.node is not None and not step.flag:
            raise Refused("exists")
        self._move(old.node, new.node, [folder for _, folder in new.trail])
        if old.node is not new.node:
            new.folder.entries[new.name] = old.node
            del old.folder.entries[old.name]
        return True

    def _move(self, node: Node, present: Node | None, trail: Sequence[Folder]) -> None:
        """Refuse what the system's own rename refuses, in its order."""
        if node is present:
            return
        if node in trail:
            raise Refused("invalid_argument")
        if isinstance(present, Folder) and self._holds(present, node):
            raise Refused("exists")
        if isinstance(node, Folder) and present is not None and not isinstance(present, Folder):
            raise Refused("not_directory")
        if isinstance(present, Folder) and not isinstance(node, Folder):
            raise Refused("is_directory")
        if isinstance(present, Folder) and present.entries:
            raise Refused("exists")

    def _holds(self, folder: Folder, wanted: Node) -> bool:
        return any(
            node is wanted or (isinstance(node, Folder) and self._holds(node, wanted))
            for node in folder.entries.values()
        )

    def realpath(self, step: Step) -> object:
        try:
            return os.path.realpath(os.path.join(self.project.root, step.path))
        except ValueError:
            raise Refused("invalid_argument") from None

    def glob(self, step: Step) -> object:
        folder, relative = self._folder(step.path)
        prefix = f"{relative}/" if relative else ""
        return sorted(name for name, _ in self.project.files(folder, prefix))

    def grep(self, step: Step) -> object:
        spot = self.project.find(step.path)
        if spot.node is None:
            raise Refused("not_found")
        if isinstance(spot.node, File):
            return [spot.relative]
        assert isinstance(spot.node, Folder)
        return self.glob(step)

    def run(self, step: Step) -> object:
        _, relative = self._folder(step.path)
        return os.fsencode(f"{self.project.root}/{relative}".rstrip("/")) + b"\n"


def ask(client: RawClient, step: Step) -> RawReply:
    match step.operation:
        case "read":
            return client.call("read", path=step.path, raw=True)
        case "write":
            return client.call("write", b"written " + INSIDE, path=step.path)
        case "edit":
            edit = [{"old": INSIDE.decode(), "new": "edited " + INSIDE[:3].decode()}]
            return client.call("edit", json.dumps(edit).encode(), path=step.path)
        case "stat":
            return client.call("stat", path=step.path, follow=step.flag)
        case "rename":
            return client.call("rename", path=step.path, target=step.target, overwrite=step.flag)
        case "glob":
            return client.call("glob", pattern="**", path=step.path, limit=1000)
        case "grep":
            return client.call("grep", pattern="i", path=step.path, limit=1000)
        case "run":
            return client.call("run", command=["pwd"], cwd=step.path)
    return client.call(step.operation, path=step.path)


def answer(root: str, step: Step, reply: RawReply) -> object:
    """What was answered, as the model says it."""
    match step.operation:
        case "read" | "run":
            return reply.payload
        case "write" | "make_dir":
            return reply.result["created"]
        case "stat":
            return reply.result["type"], reply.result["path"][len(root) + 1 :]
        case "exists":
            return reply.result["exists"]
        case "list":
            rows = [row for row in reply.json if row["name"] != ".jido_code"]
            return sorted((row["name"], row["is_dir"], row["size"]) for row in rows)
        case "realpath":
            return reply.result["path"]
        case "glob" | "grep":
            return sorted({row["path"] for row in reply.json})
    return True


@pytest.fixture(scope="module")
def beyond(module_server: ToolServer) -> Iterator[Path]:
    """What lies outside: the same names, with content that must never be seen."""
    outside = module_server.root.parent / "outside"
    for folder in (outside, outside / "outside", outside / "outside" / "outside"):
        folder.mkdir()
        for name in NAMES[:-1]:
            (folder / name).write_bytes(SECRET)
    yield outside
    shutil.rmtree(outside)


def clear(root: Path) -> None:
    for entry in root.iterdir():
        if not entry.is_symlink() and entry.is_dir():
            if entry.name != ".jido_code":
                shutil.rmtree(entry)
        else:
            entry.unlink()


def check(client: RawClient, step: Step, expectation: Expectation) -> None:
    """Make one request and compare its answer with the model's."""
    expected: object
    try:
        expected = expectation.of(step)
    except Refused as refused:
        expected = refused
    reply = ask(client, step)
    assert SECRET not in reply.payload
    if isinstance(expected, Refused):
        assert reply.code == expected.code, step
    else:
        assert answer(expectation.project.root, step, reply) == expected, step


@MODEL
@given(story=stories())
def test_every_operation_agrees_with_the_model(
    module_server: ToolServer, beyond: Path, story: tuple[dict[str, Node], list[Step]]
) -> None:
    entries, steps = story
    root = str(module_server.root)
    project = Project(root)
    project.top.entries = entries
    place_links(project.top, root)
    clear(module_server.root)
    project.build(module_server.root)
    expectation = Expectation(project)
    outside = photograph(beyond)
    with module_server.connect() as client:
        for drawn in steps:
            path, target = placed(drawn.path, root), placed(drawn.target, root)
            check(client, Step(drawn.operation, path, target, drawn.flag), expectation)
            assert photograph(module_server.root, ".jido_code") == picture(project.top), drawn
    assert photograph(beyond) == outside
    assert sorted(os.listdir(beyond.parent)) == ["outside", "project", "socket"]


def test_a_listing_says_nothing_of_what_lies_outside(
    client: RawClient, server: ToolServer, beyond: Path
) -> None:
    (server.root / "in").write_text("12345")
    for name, target in {
        "file": beyond / "a",
        "folder": beyond,
        "up": Path(".."),
        "inside": Path("in"),
    }.items():
        (server.root / name).symlink_to(target)
    rows = {row["name"]: (row["is_dir"], row["size"]) for row in client.call("list").json}
    assert {rows[name] for name in ("file", "folder", "up")} == {(False, None)}
    # The control: of what lies inside it tells.
    assert rows["inside"] == (False, 5)


def test_links_are_followed_as_often_as_the_system_does(
    client: RawClient, server: ToolServer
) -> None:
    (server.root / "0").write_text("end")
    for number in range(1, 42):
        (server.root / str(number)).symlink_to(str(number - 1))
    assert client.call("read", path="40", raw=True).payload == b"end"
    assert client.call("read", path="41", raw=True).code == "link_loop"


def test_the_model_itself_tells_inside_from_outside() -> None:
    """The control: the model reaches what lies inside and refuses what does not."""
    project = Project("/p")
    inner = Folder({"f": File(INSIDE), "up": Link(".."), "out": Link("../.."), "abs": Link("/p/d")})
    project.top.entries = {"d": inner, "etc": Link("/etc"), "loop": Link("loop")}
    assert project.find("d/up/d/abs/f").relative == "d/f"
    for path, code in {
        "d/out": "outside_project",
        "etc/passwd": "outside_project",
        "d/../..": "outside_project",
        "/px": "outside_project",
        "loop": "link_loop",
        "d/f/x": "not_directory",
        "none/x": "not_found",
    }.items():
        with pytest.raises(Refused) as refused:
            project.find(path)
        assert refused.value.code == code
