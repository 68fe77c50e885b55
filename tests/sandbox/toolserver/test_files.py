"""Files and names: every operation, every refusal, over a real tool server."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from tests.support.toolserver import RawClient, ToolServer


def test_a_file_is_written_with_its_parents_and_read_back(
    client: RawClient, server: ToolServer
) -> None:
    written = client.call("write", b"one\ntwo\n", path="a/b/c.txt").result
    assert written["created"] is True
    assert written["hash"] == hashlib.sha256(b"one\ntwo\n").hexdigest()
    assert (server.root / "a/b/c.txt").read_bytes() == b"one\ntwo\n"
    reply = client.call("read", path=f"{server.root}/a/b/c.txt")
    assert reply.payload == b"one\ntwo"
    assert reply.result["total_lines"] == 2
    assert reply.result["hash"] == written["hash"]
    assert client.call("write", b"x", path="a/b/c.txt").result["created"] is False


def test_lines_are_selected_and_cut(client: RawClient, server: ToolServer) -> None:
    (server.root / "f").write_text("".join(f"line {n}\n" for n in range(1, 11)) + "x" * 50)
    reply = client.call("read", path="f", offset=9, limit=2)
    assert reply.payload == b"line 9\nline 10"
    assert reply.result["more"] is True
    assert reply.result["total_lines"] == 11
    last = client.call("read", path="f", offset=11, width=10)
    assert last.payload.decode() == "x" * 10 + "… [40 more characters]"
    assert last.result["cut_lines"] == 1
    assert client.call("read", path="f", offset=99).result["lines"] == 0


def test_raw_ranges_are_read(client: RawClient, server: ToolServer) -> None:
    (server.root / "f").write_bytes(bytes(range(256)))
    reply = client.call("read", path="f", raw=True, start=10, length=5)
    assert (reply.payload, reply.result["size"]) == (bytes(range(10, 15)), 256)


def test_binary_files_are_not_read_as_text(client: RawClient, server: ToolServer) -> None:
    (server.root / "f").write_bytes(b"a\0b")
    assert client.call("read", path="f").code == "binary"
    assert client.call("read", path="f", raw=True).payload == b"a\0b"


def test_a_sparse_giant_is_refused(client: RawClient, server: ToolServer) -> None:
    with (server.root / "f").open("wb") as file:
        file.truncate(10 << 30)
    assert client.call("read", path="f").code == "too_large"
    assert client.call("edit", b'[{"old":"a","new":"b"}]', path="f").code == "too_large"


def test_the_mode_is_kept_and_nothing_temporary_stays(
    client: RawClient, server: ToolServer
) -> None:
    target = server.root / "run.sh"
    target.write_text("old")
    target.chmod(0o754)
    client.call("write", b"new", path="run.sh").result  # noqa: B018
    assert target.stat().st_mode & 0o7777 == 0o754
    assert sorted(entry.name for entry in server.root.iterdir()) == [".jido_code", "run.sh"]


def test_a_hard_link_keeps_its_other_name(client: RawClient, server: ToolServer) -> None:
    (server.root / "one").write_text("old")
    os.link(server.root / "one", server.root / "two")
    client.call("write", b"new", path="one")
    assert (server.root / "two").read_text() == "new"


def test_a_write_goes_through_a_link_that_stays_inside(
    client: RawClient, server: ToolServer
) -> None:
    (server.root / "target").write_text("old")
    (server.root / "absolute").symlink_to(server.root / "target")
    (server.root / "relative").symlink_to("./target")
    client.call("write", b"first", path="absolute")
    assert (server.root / "target").read_text() == "first"
    client.call("write", b"second", path="relative")
    assert (server.root / "target").read_text() == "second"
    assert (server.root / "absolute").is_symlink()


def test_a_write_expects_what_was_read(client: RawClient, server: ToolServer) -> None:
    seen = client.call("write", b"one", path="f", expected_hash="absent").result["hash"]
    assert client.call("write", b"two", path="f", expected_hash="absent").code == "changed"
    (server.root / "f").write_text("by somebody else")
    assert client.call("write", b"two", path="f", expected_hash=seen).code == "changed"
    assert (server.root / "f").read_text() == "by somebody else"
    present = client.call("read", path="f").result["hash"]
    assert client.call("write", b"two", path="f", expected_hash=present).result["size"] == 3


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../secret", "a/../../secret", "link", "up/secret", "directory/secret"]
)
@pytest.mark.parametrize("operation", ["read", "write", "stat", "remove", "make_dir", "list"])
def test_no_path_leads_outside(
    client: RawClient, server: ToolServer, path: str, operation: str
) -> None:
    outside = server.root.parent / "secret"
    outside.write_text("secret")
    (server.root / "a").mkdir()
    (server.root / "link").symlink_to(outside)
    (server.root / "up").symlink_to("..")
    (server.root / "directory").symlink_to(server.root.parent)
    reply = client.call(operation, path=path)
    if path == "link" and operation == "remove":
        assert reply.result == {}
    else:
        assert reply.code == "outside_project"
    assert outside.read_text() == "secret"


def test_paths_that_stay_inside_are_followed(client: RawClient, server: ToolServer) -> None:
    """The control of the test above: the same shapes of path, with targets inside."""
    (server.root / "a").mkdir()
    (server.root / "file").write_text("inside")
    (server.root / "a/link").symlink_to("../file")
    (server.root / "up").symlink_to("a/..")
    (server.root / "directory").symlink_to(server.root)
    for path in ("a/../file", "a/link", "up/file", "directory/file", f"{server.root}/./file"):
        assert client.call("read", path=path).payload == b"inside"


def test_odd_paths_are_refused(client: RawClient, server: ToolServer) -> None:
    (server.root / "loop").symlink_to("loop")
    assert client.call("read", path="loop").code == "link_loop"
    assert client.call("read", path="loop/x").code == "link_loop"
    assert client.call("read", path="a\0b").code == "invalid_argument"
    assert client.call("read", path="a/" * 3000).code == "invalid_argument"
    assert client.call("read", path="x" * 300).code == "invalid_argument"
    assert client.call("read", path="\ud800").code == "invalid_argument"
    assert client.call("realpath", path="a\0b").code == "invalid_argument"
    assert client.call("read", path="missing").code == "not_found"
    assert client.call("read", path="missing/x").code == "not_found"


def test_kinds_are_told_apart(client: RawClient, server: ToolServer) -> None:
    (server.root / "d").mkdir()
    (server.root / "f").write_text("x")
    os.mkfifo(server.root / "p")
    assert client.call("read", path="d").code == "is_directory"
    assert client.call("read", path=".").code == "is_directory"
    assert client.call("write", b"x", path="d").code == "is_directory"
    assert client.call("read", path="p").code == "not_regular"
    assert client.call("write", b"x", path="p").code == "not_regular"
    assert client.call("read", path="f/x").code == "not_directory"
    assert client.call("list", path="f").code == "not_directory"
    assert client.call("make_dir", path="f").code == "exists"
    assert client.call("make_dir", path="f/x").code == "not_directory"
    assert client.call("stat", path="p").result["type"] == "other"


def test_names_are_listed_with_what_they_lead_to(client: RawClient, server: ToolServer) -> None:
    (server.root / "d").mkdir()
    (server.root / "f").write_text("12345")
    (server.root / "to-d").symlink_to("d")
    (server.root / "broken").symlink_to("nowhere")
    (Path(os.fsdecode(os.fsencode(server.root) + b"/\xff"))).write_text("")
    rows = {row["name"]: row for row in client.call("list").json}
    assert list(rows) == sorted(rows)
    assert (rows["d"]["is_dir"], rows["to-d"]["is_dir"], rows["to-d"]["is_link"]) == (True,) * 3
    assert (rows["f"]["size"], rows["broken"]["size"]) == (5, None)
    odd = "\udcff"
    assert odd in rows
    assert client.call("stat", path=odd).result["type"] == "file"


def test_status_follows_links_unless_told(client: RawClient, server: ToolServer) -> None:
    (server.root / "f").write_text("123")
    (server.root / "l").symlink_to("f")
    followed = client.call("stat", path="l").result
    assert (followed["type"], followed["size"]) == ("file", 3)
    assert followed["path"] == f"{server.root}/f"
    assert client.call("stat", path="l", follow=False).result["type"] == "link"


def test_existence(client: RawClient, server: ToolServer) -> None:
    (server.root / "f").write_text("")
    (server.root / "broken").symlink_to("nowhere")
    (server.root / "loop").symlink_to("loop")
    found = {
        name: client.call("exists", path=name).result["exists"]
        for name in ("f", "broken", "loop", "none", "f/x", ".")
    }
    assert found == {
        "f": True,
        "broken": False,
        "loop": False,
        "none": False,
        "f/x": False,
        ".": True,
    }
    assert client.call("exists", path="/etc").code == "outside_project"


def test_trees_are_removed_without_following_links(client: RawClient, server: ToolServer) -> None:
    keep = server.root / "keep"
    keep.mkdir()
    (keep / "f").write_text("kept")
    tree = server.root / "tree/deep/deeper"
    tree.mkdir(parents=True)
    (tree / "f").write_text("x")
    (tree / "link").symlink_to(keep)
    client.call("remove", path="tree").result  # noqa: B018
    assert not (server.root / "tree").exists()
    assert (keep / "f").read_text() == "kept"


def test_the_project_itself_stays(client: RawClient, server: ToolServer) -> None:
    for path in (".", "", "a/..", "/", str(server.root), str(server.root.parent)):
        (server.root / "a").mkdir(exist_ok=True)
        assert client.call("remove", path=path).code == "invalid_argument"
    assert server.root.is_dir()


def test_names_are_moved(client: RawClient, server: ToolServer) -> None:
    (server.root / "a").write_text("a")
    (server.root / "b").write_text("b")
    assert client.call("rename", path="a", target="b").code == "exists"
    assert client.call("rename", path="a", target="b", overwrite=True).result == {}
    assert (server.root / "b").read_text() == "a"
    assert client.call("rename", path="b", target="new/place").result == {}
    assert client.call("rename", path="none", target="c").code == "not_found"
    assert client.call("rename", path="new", target="../out").code == "outside_project"
    assert client.call("rename", path="new", target=".").code == "invalid_argument"


def test_arguments_are_checked(client: RawClient) -> None:
    assert client.call("read").code == "invalid_argument"
    assert client.call("read", path=3).code == "invalid_argument"
    assert client.call("read", path="f", offset=0).code == "invalid_argument"
    assert client.call("read", path="f", raw="yes").code == "invalid_argument"
    assert client.call("read", path="f", surprise=1).code == "invalid_argument"
    assert client.call("no_such_operation").code == "unknown_operation"


def test_the_private_directory_ignores_itself(client: RawClient, server: ToolServer) -> None:
    assert client.call("ping").result == {}
    assert (server.root / ".jido_code/.gitignore").read_text() == "*\n"
    assert (server.root / ".jido_code/home").is_dir()
    assert (server.root / ".jido_code/tmp").is_dir()
