"""The tool server as another user: permissions are that user's, and failures say so."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.requirements import require
from tests.support.toolserver import SERVER, RawClient

NOBODY = 65534
PYTHON = "/usr/bin/python3"


@pytest.fixture
def project() -> Iterator[Path]:
    base = Path(os.path.realpath(tempfile.mkdtemp(prefix="jido-own-")))
    base.chmod(0o755)
    (base / "project").mkdir()
    os.chown(base / "project", NOBODY, NOBODY)
    yield base / "project"
    shutil.rmtree(base)


@pytest.fixture
def client(project: Path) -> Iterator[RawClient]:
    """A client of a server that owns the project and is not root."""
    able = os.geteuid() == 0 and os.access(PYTHON, os.X_OK)
    require(able, "Only root can become another user, with the system's Python.")
    copy = project.parent / "toolserver"
    shutil.copytree(SERVER, copy, ignore=shutil.ignore_patterns("__pycache__"))
    path = project.parent / "socket"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    number = listener.fileno()
    command = [PYTHON, "-I", "-S", "-E", str(copy), "--root", str(project)]
    command += ["--listen-fd", str(number)]
    process = subprocess.Popen(
        command,
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        pass_fds=(number,),
        env={"PATH": os.defpath},
    )
    listener.close()
    try:
        with RawClient(path) as connection:
            yield connection
    finally:
        process.terminate()
        process.wait(10)


def test_permissions_are_the_users(client: RawClient, project: Path) -> None:
    assert client.call("write", b"mine", path="f").result["created"] is True
    assert (project / "f").stat().st_uid == NOBODY
    (project / "f").chmod(0)
    assert client.call("read", path="f").code == "permission_denied"
    assert client.call("write", b"x", path="f").code == "permission_denied"
    (project / "f").chmod(0o600)
    assert client.call("read", path="f").payload == b"mine"


def test_no_file_changes_its_owner(client: RawClient, project: Path) -> None:
    (project / "theirs").write_text("old")
    (project / "theirs").chmod(0o666)
    assert client.call("write", b"new", path="theirs").result["size"] == 3
    assert (project / "theirs").read_text() == "new"
    assert (project / "theirs").stat().st_uid == 0


def test_a_closed_directory_lets_its_writable_files_be_written(
    client: RawClient, project: Path
) -> None:
    (project / "d").mkdir()
    (project / "d/f").write_text("old")
    os.chown(project / "d/f", NOBODY, NOBODY)
    assert client.call("write", b"new", path="d/f").result["size"] == 3
    assert (project / "d/f").read_text() == "new"
    assert client.call("write", b"new", path="d/g").code == "permission_denied"
    assert client.call("remove", path="d/f").code == "permission_denied"


def test_the_server_is_small_when_idle(client: RawClient) -> None:
    time.sleep(0.1)
    pid = client.hello["hello"]["pid"]
    status = Path(f"/proc/{pid}/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines())
    assert int(fields["VmRSS"].split()[0]) <= 16 * 1024
