"""What changed since a session began, told by git without touching the user's own index."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest

from orchestrator.sandboxes import baseline
from orchestrator.sandboxes.channel import Channel
from orchestrator.sandboxes.tools import SandboxTools
from tests.support.toolserver import ToolServer


def git(root: Path, *words: str) -> str:
    author = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    done = subprocess.run(
        ["git", *author, *words], cwd=root, check=True, capture_output=True, text=True
    )
    return done.stdout


def prepare(root: Path) -> None:
    """Make what a runtime makes in a project, without what an earlier test left there."""
    own = root / ".jido_code"
    own.mkdir(exist_ok=True)
    (own / ".gitignore").write_text("*\n")
    (own / "baseline").unlink(missing_ok=True)


@pytest.fixture
def repository(server: ToolServer) -> Path:
    """A repository in the middle of somebody's work."""
    root = server.root
    prepare(root)
    git(root, "init", "-q")
    (root / "old").write_text("one\n")
    git(root, "add", "old")
    git(root, "commit", "-qm", "x")
    (root / "old").write_text("theirs\n")
    (root / "-wip").write_text("theirs\n")
    (root / "large").write_bytes(bytes(2_000_000))
    return root


async def test_changes_are_those_since_the_session_began(
    tools: SandboxTools, channel: Channel, repository: Path
) -> None:
    before = git(repository, "status", "--short")
    index = (repository / ".git/index").read_bytes()
    assert await baseline.record(channel)
    assert await tools.diff() == ""
    assert (repository / ".git/index").read_bytes() == index
    (repository / "old").write_text("ours\n")
    (repository / "-wip").unlink()
    (repository / "new").write_text("ours\n")
    (repository / "ignored").mkdir()
    (repository / "ignored/.gitignore").write_text("*\n")
    changes = await tools.diff()
    assert "-theirs\n+ours\n" in changes
    assert "deleted file mode" in changes
    assert "+++ b/new\n@@ -0,0 +1 @@\n+ours\n" in changes
    assert "large" not in changes
    assert "ignored" not in changes
    # Committing what was made hides nothing of it.
    git(repository, "add", "new", "old")
    git(repository, "commit", "-qm", "y")
    assert "+++ b/new" in await tools.diff()
    git(repository, "reset", "-q", "--soft", "HEAD^")
    git(repository, "reset", "-q")
    assert "?? new" in git(repository, "status", "--short")
    (repository / "old").write_text("theirs\n")
    (repository / "new").unlink()
    (repository / "-wip").write_text("theirs\n")
    assert await tools.diff() == ""
    assert git(repository, "status", "--short") == before
    assert not list((repository / ".jido_code").glob("baseline?*"))


async def test_a_large_new_file_is_named_only(
    tools: SandboxTools, channel: Channel, repository: Path
) -> None:
    assert await baseline.record(channel)
    await asyncio.sleep(0.05)
    (repository / "larger").write_bytes(bytes(2_000_000))
    assert await tools.diff() == "new file: larger\n"


async def test_without_a_baseline_the_last_commit_is_compared_with(
    tools: SandboxTools, channel: Channel, repository: Path
) -> None:
    assert "-one\n+theirs\n" in await tools.diff()
    (repository / ".jido_code/baseline").write_text("0" * 40)
    assert "-one\n+theirs\n" in await tools.diff()
    (repository / ".jido_code/baseline").write_text("--output=/tmp/x")
    assert "-one\n+theirs\n" in await tools.diff()


async def test_what_is_no_repository_has_no_changes(tools: SandboxTools, channel: Channel) -> None:
    assert not await baseline.record(channel)
    assert await tools.diff() == ""


async def test_a_repository_without_a_commit_has_changes_too(
    tools: SandboxTools, channel: Channel, server: ToolServer
) -> None:
    prepare(server.root)
    git(server.root, "init", "-q")
    assert await baseline.record(channel)
    (server.root / "first").write_text("1\n")
    assert "+++ b/first" in await tools.diff()


async def test_it_is_quick_to_give_up(
    tools: SandboxTools, channel: Channel, repository: Path
) -> None:
    (repository / ".git/HEAD").write_text("nonsense")
    assert not await baseline.record(channel)
    assert await tools.diff() == ""
