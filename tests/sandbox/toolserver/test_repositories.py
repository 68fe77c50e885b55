"""Repositories that a session makes or changes inside a project are named."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from orchestrator.sandboxes import baseline
from orchestrator.sandboxes.channel import Channel
from orchestrator.sandboxes.repositories import MAX_FINDINGS, Finding
from orchestrator.sandboxes.tools import SandboxTools
from tests.sandbox.toolserver.test_baseline import git, prepare
from tests.support.toolserver import ToolServer


@pytest.fixture
def project(server: ToolServer) -> Path:
    """A repository with another one in it, as many are."""
    prepare(server.root)
    git(server.root, "init", "-q")
    (server.root / "file").write_text("one\n")
    git(server.root, "add", "file")
    git(server.root, "commit", "-qm", "x")
    commit_in(server.root / "vendored")
    return server.root


def commit_in(path: Path) -> None:
    """Make a repository with one commit."""
    path.mkdir(parents=True)
    git(path, "init", "-q")
    git(path, "commit", "-q", "--allow-empty", "-m", "x")


async def begun(channel: Channel) -> float:
    """Begin a session; what the file system stamps from now on is later."""
    await baseline.record(channel)
    # The file system's clock ticks every few milliseconds only.
    await asyncio.sleep(0.05)
    moment = time.time()
    await asyncio.sleep(0.05)
    return moment


async def test_what_was_there_is_no_news(
    tools: SandboxTools, channel: Channel, project: Path
) -> None:
    moment = await begun(channel)
    (project / "file").write_text("two\n")
    git(project / "vendored", "commit", "-q", "--allow-empty", "-m", "y")
    git(project, "add", "file")
    assert await tools.repositories_since(moment) == []


async def test_a_repository_that_was_made_is_named_with_what_it_runs(
    tools: SandboxTools, channel: Channel, project: Path
) -> None:
    moment = await begun(channel)
    commit_in(project / "deep/er")
    git(project / "deep/er", "config", "core.fsmonitor", "touch /tmp/planted")
    hook = project / "deep/er/.git/hooks/post-checkout"
    hook.write_text("#!/bin/sh\n")
    hook.chmod(0o755)
    (project / "file-of-it").mkdir()
    (project / "file-of-it/.git").write_text("gitdir: ../deep/er/.git\n")
    git(project, "init", "-q", "--bare", "bare")
    assert await tools.repositories_since(moment) == [
        Finding("repository_made", "bare/HEAD"),
        Finding("repository_made", "deep/er/.git", ("core.fsmonitor", "hooks")),
        Finding("repository_made", "file-of-it/.git"),
    ]


async def test_one_that_was_there_is_named_when_its_settings_or_hooks_changed(
    tools: SandboxTools, channel: Channel, project: Path
) -> None:
    moment = await begun(channel)
    git(project / "vendored", "config", "core.hooksPath", "/tmp/hooks")
    assert await tools.repositories_since(moment) == [
        Finding("repository_changed", "vendored/.git", ("core.hookspath",))
    ]


async def test_one_at_the_top_is_named_where_none_was(
    tools: SandboxTools, channel: Channel, server: ToolServer
) -> None:
    prepare(server.root)
    moment = await begun(channel)
    assert await tools.repositories_since(moment) == []
    git(server.root, "init", "-q")
    assert await tools.repositories_since(moment) == [Finding("repository_made", ".git")]


async def test_one_that_is_entered_in_the_index_is_named(
    tools: SandboxTools, channel: Channel, project: Path
) -> None:
    moment = await begun(channel)
    git(project, "-c", "advice.addEmbeddedRepo=false", "add", "vendored")
    assert await tools.repositories_since(moment) == [Finding("gitlink_added", "vendored")]


async def test_names_are_data_and_their_number_is_bounded(
    tools: SandboxTools, channel: Channel, project: Path
) -> None:
    moment = await begun(channel)
    for number in range(MAX_FINDINGS + 10):
        (project / f"-n {number}\n; $(touch planted)").mkdir()
        (project / f"-n {number}\n; $(touch planted)/.git").mkdir()
    found = await tools.repositories_since(moment)
    assert len(found) == MAX_FINDINGS
    assert found[0].path.startswith("-n 0\n; $(touch planted)")
    assert not (project / "planted").exists()
