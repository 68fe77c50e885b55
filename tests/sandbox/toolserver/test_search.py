"""glob, find and grep: with ripgrep, and with what there is where it is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.toolserver import RawClient, ToolServer, running


@pytest.fixture(scope="module", params=["ripgrep", "grep"])
def module_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ToolServer]:
    environment = {}
    if request.param == "grep":
        programs = tmp_path_factory.mktemp("programs")
        for name in ("git", "grep", "sh"):
            program = shutil.which(name)
            assert program is not None
            (programs / name).symlink_to(program)
        environment["PATH"] = str(programs)
    with running(environment=environment) as server:
        yield server


@pytest.fixture
def project(server: ToolServer) -> Path:
    root = server.root
    subprocess.run(["git", "init", "-q", root], check=True)
    for name, text in {
        ".gitignore": "*.log\nbuild/\n",
        "main.py": "import os\nprint('needle')\n",
        "src/deep/util.py": "def helper():\n    return 'Needle'\n",
        "src/data.txt": "needle in text\n",
        "noise.log": "needle\n",
        "build/out.py": "needle\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "src/blob.bin").write_bytes(b"\0needle\0")
    for age, name in enumerate(["main.py", "src/deep/util.py", "src/data.txt"]):
        os.utime(root / name, (1_000_000 - age, 1_000_000 - age))
    return root


def paths(client: RawClient, operation: str, **arguments: Any) -> list[str]:
    return [row["path"] for row in client.call(operation, **arguments).json]


@pytest.mark.usefixtures("project")
def test_globs_find_the_newest_first(client: RawClient) -> None:
    assert paths(client, "glob", pattern="*.py") == ["main.py", "src/deep/util.py"]
    assert paths(client, "glob", pattern="src/**/*.py") == ["src/deep/util.py"]
    assert paths(client, "glob", pattern="*.{py,txt}") == [
        "main.py",
        "src/deep/util.py",
        "src/data.txt",
    ]
    assert paths(client, "glob", pattern="*.txt", path="src") == ["src/data.txt"]
    limited = client.call("glob", pattern="*.py", limit=1)
    assert (len(limited.json), limited.result["truncated"]) == (1, True)


@pytest.mark.usefixtures("project")
def test_names_are_found_by_their_letters(client: RawClient) -> None:
    assert client.call("find", query="main.py").json[0] == "main.py"
    assert client.call("find", query="sdu").json == ["src/deep/util.py"]
    assert client.call("find", query="util").json == ["src/deep/util.py"]
    assert client.call("find", query="zzz").json == []
    assert "noise.log" not in client.call("find", query="noise").json


@pytest.mark.usefixtures("project")
def test_text_is_found_by_line(client: RawClient) -> None:
    rows = client.call("grep", pattern="need.e").json
    assert [(row["path"], row["line"]) for row in rows] == [("main.py", 2), ("src/data.txt", 1)]
    assert rows[0]["text"] == "print('needle')"
    assert paths(client, "grep", pattern="needle", ignore_case=True, path="src") == [
        "src/data.txt",
        "src/deep/util.py",
    ]
    assert paths(client, "grep", pattern="needle", glob="*.py") == ["main.py"]
    assert paths(client, "grep", pattern="needle", path="src/data.txt") == ["src/data.txt"]
    assert paths(client, "grep", pattern="need.e", fixed=True) == []
    assert paths(client, "grep", pattern="nothing like it") == []


@pytest.mark.usefixtures("project")
def test_context_is_marked(client: RawClient) -> None:
    rows = client.call("grep", pattern="needle", path="main.py", context=1).json
    assert [(row["line"], row.get("context", False)) for row in rows] == [(1, True), (2, False)]


def test_hits_are_bounded(client: RawClient, project: Path) -> None:
    (project / "many.txt").write_text("hit\n" * 5000)
    reply = client.call("grep", pattern="hit", limit=10)
    assert (len(reply.json), reply.result["truncated"]) == (10, True)
    (project / "long.txt").write_text("mark" + "x" * 100_000)
    assert len(client.call("grep", pattern="mark").json[0]["text"]) <= 500


@pytest.mark.usefixtures("project")
def test_what_cannot_be_searched_is_refused(client: RawClient) -> None:
    assert client.call("grep", pattern="(").code == "invalid_argument"
    assert client.call("grep", pattern="").code == "invalid_argument"
    assert client.call("grep", pattern="x", path="..").code == "outside_project"
    assert client.call("grep", pattern="x", path="none").code == "not_found"
    assert client.call("glob", pattern="").code == "invalid_argument"
    assert client.call("glob", pattern="**/a/**/b/**/c/**/d").code == "invalid_argument"
    assert client.call("glob", pattern="{a,b}" * 12).code == "invalid_argument"
    assert client.call("find", query="x" * 300).code == "invalid_argument"


@pytest.mark.usefixtures("project")
def test_a_hostile_glob_ends_soon(client: RawClient, server: ToolServer) -> None:
    (server.root / ("a" * 250)).write_text("")
    assert paths(client, "glob", pattern="*a" * 100 + "b") == []
    assert paths(client, "glob", pattern="*a" * 100) == ["a" * 250]


def test_links_inside_are_not_followed_twice(client: RawClient, project: Path) -> None:
    (project / "again").symlink_to("src")
    (project / "loop").symlink_to(".")
    assert paths(client, "grep", pattern="needle in text") == ["src/data.txt"]
    assert paths(client, "glob", pattern="**/data.txt") == ["src/data.txt"]
    assert client.call("find", query="data.txt").json == ["src/data.txt"]
    # A link named as the place to search is: it leads inside.
    assert paths(client, "grep", pattern="needle", path="again") == ["src/data.txt"]


def test_what_git_tracks_below_a_link_is_not_reached(client: RawClient, project: Path) -> None:
    """A directory that was tracked and is a link out of the project by now."""
    outside = project.parent / "swapped"
    outside.mkdir(exist_ok=True)
    (outside / "data.txt").write_text("needle outside\n")
    subprocess.run(["git", "-C", project, "add", "src"], check=True)
    assert "src/data.txt" in paths(client, "grep", pattern="needle")
    shutil.rmtree(project / "src")
    (project / "src").symlink_to(outside)
    assert paths(client, "grep", pattern="needle outside") == []
    assert paths(client, "glob", pattern="**/data.txt") == []


@pytest.mark.usefixtures("project")
def test_private_and_binary_files_are_left_out(client: RawClient, project: Path) -> None:
    (project / ".git/needle.txt").write_text("needle\n")
    (project / ".jido_code/needle.txt").write_text("needle\n")
    found = paths(client, "grep", pattern="needle")
    assert found == ["main.py", "src/data.txt"]
    assert client.call("find", query="needle.txt").json == []
    assert paths(client, "glob", pattern="**/needle.txt") == []
    assert paths(client, "grep", pattern="needle", path="src/blob.bin") == []
    # Hidden files of the project are its files.
    (project / ".hidden").write_text("needle\n")
    assert ".hidden" in paths(client, "grep", pattern="needle")


@pytest.mark.usefixtures("project")
def test_odd_names_are_not_misread(client: RawClient, project: Path) -> None:
    for name in ("a\nmain.py", "-e", "two words", os.fsdecode(b"\xff\xfe"), "--"):
        (project / name).write_text("odd-needle\n")
    found = paths(client, "grep", pattern="odd-needle")
    assert {"-e", "two words", "--", "\udcff\udcfe"} <= set(found)
    assert "main.py" not in found
    assert "a\nmain.py" in paths(client, "glob", pattern="*main.py")
    assert paths(client, "grep", pattern="odd-needle", path="-e") == ["-e"]
    assert paths(client, "grep", pattern="odd-needle", path="a\nmain.py") == ["a\nmain.py"]


@pytest.mark.usefixtures("project")
def test_what_is_no_file_is_not_waited_for(client: RawClient, project: Path) -> None:
    os.mkfifo(project / "pipe.txt")
    assert client.call("grep", pattern="x", path="pipe.txt").code == "not_regular"
    assert "pipe.txt" not in paths(client, "grep", pattern=".")


def test_searching_swapped_directories_leads_nowhere_else(client: RawClient, project: Path) -> None:
    outside = project.parent / "beyond"
    outside.mkdir(exist_ok=True)
    (outside / "f.txt").write_text("beyond-secret\n")
    (project / "safe").mkdir()
    (project / "safe/f.txt").write_text("beyond-nothing\n")
    (project / "link").symlink_to(outside)
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            os.rename(project / "safe", project / "parked")
            os.rename(project / "link", project / "safe")
            os.rename(project / "safe", project / "link")
            os.rename(project / "parked", project / "safe")

    thread = threading.Thread(target=swap)
    thread.start()
    texts, codes = set(), set()
    try:
        for path in ("safe", "safe/f.txt") * 40:
            reply = client.call("grep", pattern="beyond-", path=path)
            if reply.header["ok"]:
                texts |= {row["text"] for row in reply.json}
            else:
                codes.add(reply.code)
    finally:
        stop.set()
        thread.join()
    assert texts <= {"beyond-nothing"}
    # Which one says so depends on the moment; that nothing is found outside does not.
    refusals = {"outside_project", "not_found", "not_directory", "is_directory", "link_loop"}
    assert codes <= refusals


def test_a_big_tree_is_bounded(client: RawClient, project: Path) -> None:
    for number in range(1500):
        (project / f"many/{number % 30}").mkdir(parents=True, exist_ok=True)
        (project / f"many/{number % 30}/{number}.txt").write_text("many\n")
    reply = client.call("glob", pattern="many/**/*.txt", limit=1000)
    assert (len(reply.json), reply.result["truncated"]) == (1000, True)
    assert len(client.call("glob", pattern="many/**/*.txt", limit=2000).json) == 1500
    reply = client.call("find", query="txt", limit=5)
    assert (len(reply.json), reply.result["truncated"]) == (5, True)
    reply = client.call("grep", pattern="many", limit=100)
    assert (len(reply.json), reply.result["truncated"]) == (100, True)
    assert client.call("grep", pattern="x", limit=100_000).code == "invalid_argument"
    assert client.call("glob", pattern="*", limit=100_000).code == "invalid_argument"


def test_links_out_of_the_project_are_not_searched(client: RawClient, project: Path) -> None:
    outside = project.parent / "outside"
    outside.mkdir(exist_ok=True)
    (outside / "secret.txt").write_text("very-secret\n")
    (project / "link").symlink_to(outside)
    assert paths(client, "grep", pattern="very-secret") == []
    assert paths(client, "glob", pattern="**/secret.txt") == []
    # The control: the same file is found once it lies inside.
    shutil.copy(outside / "secret.txt", project / "secret.txt")
    assert paths(client, "grep", pattern="very-secret") == ["secret.txt"]
