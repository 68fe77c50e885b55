"""glob, find and grep: with ripgrep, and with what there is where it is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
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
