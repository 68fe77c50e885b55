"""What a sandbox must not change in its own project, and projects that try to mislead it."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.sandboxes.runtime_errors import UnsafeProjectLayout
from tests.support.requirements import require
from tests.support.sandboxes import LIMITS, Sandbox, Sandboxes

PROTECTED = [".git/hooks/pre-commit", ".git/config", ".git/commondir", ".jido_code/settings.json"]


@pytest.mark.parametrize("path", PROTECTED)
async def test_protected_paths_cannot_be_written(sandboxes: Sandboxes, path: str) -> None:
    sandbox = await sandboxes.start()
    before = _content(sandbox.project / path)
    done = await sandbox.shell(f"echo planted > {path}")
    assert done.exit_code != 0
    assert "Read-only file system" in done.stderr
    assert _content(sandbox.project / path) == before
    # The same command beside it succeeds, so it was the protection that refused.
    neighbour = str(Path(path).parent.parent / "neighbour") if "hooks" in path else f"{path}.new"
    assert (await sandbox.shell(f"echo allowed > {neighbour}")).exit_code == 0


@pytest.mark.parametrize("path", [".git", ".git/hooks", ".git/config", ".jido_code"])
async def test_protected_paths_cannot_be_moved_or_removed(sandboxes: Sandboxes, path: str) -> None:
    sandbox = await sandboxes.start()
    for command in (
        f"mv {path} {path}.away",
        f"rm -rf {path}",
        f"ln -sfn /tmp {path}/../x && mv -T x {path}",
    ):
        assert (await sandbox.shell(command)).exit_code != 0, command
        assert os.path.lexists(sandbox.project / path), command
    assert (await sandbox.shell("mkdir other && mv other moved && rm -rf moved")).exit_code == 0


async def test_a_planted_common_directory_does_not_lead_git_away(sandboxes: Sandboxes) -> None:
    sandbox = await sandboxes.start()
    planted = "mkdir -p fake/hooks && echo '[core]' > fake/config && echo ../fake > .git/commondir"
    assert (await sandbox.shell(planted)).exit_code != 0
    assert (sandbox.project / ".git" / "commondir").read_bytes() == b".\n"
    # Where nothing protects it, the same text does move git's configuration.
    control = sandboxes.project("control")
    (control / ".git" / "commondir").write_text("../fake\n")
    assert (control / ".git" / "commondir").read_text() == "../fake\n"


async def test_a_protected_file_has_no_second_name(sandboxes: Sandboxes) -> None:
    project = sandboxes.project()
    os.link(project / ".git" / "config", project / "second-name")
    sandbox = await sandboxes.start(project)
    before = (project / ".git" / "config").read_bytes()
    assert (await sandbox.shell("echo planted >> second-name")).exit_code == 0
    assert (project / ".git" / "config").read_bytes() == before
    assert (await sandbox.shell("ln .git/config third-name")).exit_code != 0


async def test_the_file_of_a_linked_worktree_is_protected(sandboxes: Sandboxes) -> None:
    project = sandboxes.project(git=False)
    (project / ".git").write_text("gitdir: /nowhere\n")
    sandboxes.give(project)
    sandbox = await sandboxes.start(project)
    assert (await sandbox.shell("echo 'gitdir: planted' > .git")).exit_code != 0
    assert (await sandbox.shell("rm -f .git")).exit_code != 0
    assert (project / ".git").read_text() == "gitdir: /nowhere\n"


async def test_a_second_configuration_is_protected_where_git_reads_it(
    sandboxes: Sandboxes,
) -> None:
    project = sandboxes.project()
    with (project / ".git" / "config").open("a") as file:
        file.write("[extensions]\n\tworktreeConfig = true\n")
    sandbox = await sandboxes.start(project)
    assert (await sandbox.shell("echo planted > .git/config.worktree")).exit_code != 0


@pytest.mark.parametrize(
    "path",
    [
        ".git",
        ".git/hooks",
        ".git/config",
        ".git/commondir",
        ".jido_code",
        ".jido_code/settings.json",
    ],
)
async def test_symbolic_links_in_protected_places_are_refused(
    sandboxes: Sandboxes, path: str
) -> None:
    project = sandboxes.project()
    secret = sandboxes.base / "secret"
    secret.mkdir(mode=0o755)
    (secret / "key").write_text("secret")
    place = project / path
    place.parent.mkdir(exist_ok=True)
    if place.is_dir():
        shutil.rmtree(place)
    place.unlink(missing_ok=True)
    place.symlink_to(secret)
    sandboxes.give(project)
    with pytest.raises(UnsafeProjectLayout, match="symbolic link"):
        await sandboxes.start(project)
    assert sorted(each.name for each in secret.iterdir()) == ["key"]
    assert not sandboxes.left_behind()


async def test_links_in_places_that_are_only_used_inside_are_replaced(
    sandboxes: Sandboxes,
) -> None:
    project = sandboxes.project()
    (project / ".jido_code").mkdir()
    (project / ".jido_code" / "tmp").symlink_to("/etc")
    (project / ".jido_code" / ".gitignore").symlink_to(sandboxes.base / "created-through-a-link")
    sandboxes.give(project)
    sandbox = await sandboxes.start(project)
    assert (await sandbox.shell('touch "$TMPDIR/works"')).exit_code == 0
    assert not (sandboxes.base / "created-through-a-link").exists()


async def test_links_out_of_the_project_lead_nowhere(sandboxes: Sandboxes) -> None:
    project = sandboxes.project()
    secret = sandboxes.base / "secret.txt"
    secret.write_text("outside")
    secret.chmod(0o644)
    (project / "link").symlink_to(secret)
    (project / "target").write_text("inside")
    (project / "inner").symlink_to("target")
    sandboxes.give(project)
    sandbox = await sandboxes.start(project)
    assert (await sandbox.shell("cat link")).exit_code != 0
    assert (await sandbox.shell("cat inner")).stdout == "inside"
    assert (project / "link").read_text() == "outside"


async def test_a_project_its_owner_cannot_write_stays_as_it_is(sandboxes: Sandboxes) -> None:
    project = sandboxes.project(git=False)
    (project / "file").write_text("content")
    sandboxes.give(project)
    project.chmod(0o555)
    if os.getuid() == 0:
        os.chown(project, 0, 0)
    sandbox = await sandboxes.start(project)
    assert (await sandbox.shell("cat file")).stdout == "content"
    assert (await sandbox.shell("chmod 755 .; mkdir .jido_code")).exit_code != 0
    assert (await sandbox.shell("echo more >> file")).exit_code != 0
    assert [each.name for each in project.iterdir()] == ["file"]


async def test_a_repository_with_a_work_tree_of_its_own_is_closed(sandboxes: Sandboxes) -> None:
    project = sandboxes.project()
    with (project / ".git" / "config").open("a") as file:
        file.write(f"[core]\n\tworktree = {project}\n")
    sandbox = await sandboxes.start(project)
    assert not (project / ".git" / "commondir").exists()
    assert (await sandbox.shell("echo . > .git/commondir")).exit_code != 0
    assert (await sandbox.shell("echo work > work")).exit_code == 0


async def test_a_project_of_root(sandboxes: Sandboxes) -> None:
    require(os.getuid() == 0, "Only root can own a project of root.")
    sandboxes.owner = (0, 0)
    sandbox = await sandboxes.start()
    done = await sandbox.shell("id -u; touch made; grep CapEff /proc/self/status")
    assert done.stdout.split() == ["0", "CapEff:", "0" * 16]
    assert (sandbox.project / "made").stat().st_uid == 0
    assert (await sandbox.shell(f"ls -a {Path.home()}/.ssh /root/.ssh")).exit_code != 0
    await _require_no_machine_settings(sandbox)


async def _require_no_machine_settings(sandbox: Sandbox) -> None:
    """No file of /proc outside the processes' own may be open for writing.

    Except /proc/pressure, where writing asks to be told of load and changes nothing.
    """
    program = (
        "import os\n"
        "for directory, names, files in os.walk('/proc'):\n"
        "    if directory == '/proc':\n"
        "        left_out = ('self', 'thread-self', 'pressure')\n"
        "        names[:] = [n for n in names if not n.isdigit() and n not in left_out]\n"
        "    for file in files:\n"
        "        path = os.path.join(directory, file)\n"
        "        try:\n"
        "            os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))\n"
        "            not os.path.samefile(path, '/dev/null') and print(path)\n"
        "        except OSError:\n"
        "            pass\n"
    )
    assert (await sandbox.python(program)).stdout == ""
    # The same owner outside may, so it is the sandbox that refuses.
    assert os.access("/proc/sys/kernel/core_pattern", os.W_OK)


async def test_temporary_file_systems_are_there_only_when_asked_for(
    sandboxes: Sandboxes,
) -> None:
    without = await sandboxes.start(sandboxes.project("without"))
    for path in ("/tmp/x", "/dev/shm/x"):
        assert (await without.shell(f"touch {path}")).exit_code != 0
    limits = replace(LIMITS, tmpfs_bytes=1_048_576)
    given = await sandboxes.start(sandboxes.project("given"), limits=limits)
    for path in ("/tmp/x", "/dev/shm/x"):
        assert (await given.shell(f"touch {path}")).exit_code == 0
        full = await given.shell(f"head -c 2000000 /dev/zero > {path}")
        assert "No space left" in full.stderr


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
