"""How a project is looked at and prepared, without a sandbox."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.sandboxes import project_layout
from orchestrator.sandboxes.project_layout import (
    MAX_HOOKS,
    MAX_PROTECTED_BYTES,
    UnsafeLayout,
    prepare,
    settle,
    survey,
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    path = tmp_path / "project"
    subprocess.run(["git", "init", "--quiet", str(path)], check=True)
    return path


def test_preparing_is_complete_and_repeatable(project: Path) -> None:
    first = prepare(str(project))
    assert first.missing == ()
    assert prepare(str(project)) == first == survey(str(project))
    assert [(each.path, each.writable) for each in first.protections] == [
        (".git", True),
        (".git/hooks", False),
        (".git/config", False),
        (".git/commondir", False),
        (".jido_code", True),
        (".jido_code/settings.json", False),
    ]


def test_git_outside_is_unchanged_by_what_is_made(project: Path) -> None:
    ask = ["git", "-C", str(project), "status", "--porcelain=v2", "--branch"]
    before = subprocess.run(ask, capture_output=True, check=True).stdout
    prepare(str(project))
    assert subprocess.run(ask, capture_output=True, check=True).stdout == before


def test_hooks_with_a_second_name_get_an_inode_of_their_own(project: Path) -> None:
    hook = project / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\n")
    hook.chmod(0o755)
    os.link(hook, project / "second")
    prepare(str(project))
    assert hook.stat().st_nlink == 1
    assert hook.stat().st_mode & 0o777 == 0o755
    assert hook.read_text() == "#!/bin/sh\n"


def test_what_cannot_be_made_closes_what_it_would_protect(project: Path) -> None:
    found = survey(str(project))
    assert settle(found).read_only
    prepare(str(project))
    (project / ".git" / "commondir").unlink()
    settled = settle(survey(str(project)))
    assert not settled.read_only
    assert not next(each for each in settled.protections if each.path == ".git").writable


def test_things_that_are_no_files(project: Path) -> None:
    config = project / ".git" / "config"
    config.unlink()
    os.mkfifo(config)
    with pytest.raises(UnsafeLayout, match="not a regular file"):
        survey(str(project))
    config.unlink()
    config.write_bytes(b"x" * (MAX_PROTECTED_BYTES + 1))
    with pytest.raises(UnsafeLayout, match="larger than"):
        survey(str(project))


def test_things_that_are_no_directories(project: Path) -> None:
    (project / ".jido_code").write_text("")
    with pytest.raises(UnsafeLayout, match="not a directory"):
        survey(str(project))


def test_too_many_hooks(project: Path) -> None:
    for number in range(MAX_HOOKS + 1):
        (project / ".git" / "hooks").mkdir(exist_ok=True)
        (project / ".git" / "hooks" / str(number)).touch()
    with pytest.raises(UnsafeLayout, match="entries"):
        survey(str(project))


def test_a_common_directory_elsewhere(project: Path) -> None:
    (project / ".git" / "commondir").write_text("../elsewhere\n")
    with pytest.raises(UnsafeLayout, match="points to another"):
        survey(str(project))


def test_a_path_through_a_link_is_refused(project: Path) -> None:
    link = project.parent / "link"
    link.symlink_to(project)
    with pytest.raises(UnsafeLayout, match="not a real path"):
        survey(str(link))


def test_a_git_that_is_a_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(".git")
        with pytest.raises(UnsafeLayout, match="not a directory"):
            survey(str(tmp_path))


def test_the_program_for_the_preparation_container(project: Path) -> None:
    source = Path(project_layout.__file__).read_text()
    run = [sys.executable, "-I", "-S", "-E", "-c", source, str(project)]
    assert subprocess.run(run, check=False).returncode == 0
    assert survey(str(project)).missing == ()
    (project / ".git" / "config").unlink()
    (project / ".git" / "config").symlink_to("/etc/passwd")
    refused = subprocess.run(run, capture_output=True, text=True, check=False)
    assert (refused.returncode, "symbolic link" in refused.stderr) == (5, True)
    assert project_layout.main(str(project)) == 5
