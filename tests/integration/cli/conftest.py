"""One embedded stack for all tests of commands that need a server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command_line import CommandLine, command_line
from tests.support.requirements import require_bubblewrap


@pytest.fixture(scope="session")
def jido() -> Iterator[CommandLine]:
    """Return commands that find a running stack with bubblewrap sandboxes."""
    require_bubblewrap()
    with command_line() as commands:
        done = commands.run("up", "--detach", "--port", "0")
        assert done.returncode == 0, done.stderr.decode()
        yield commands


@pytest.fixture
def project(jido: CommandLine, request: pytest.FixtureRequest) -> Path:
    """Return a project of the test's own."""
    return jido.project(request.node.name.replace("[", "-").replace("]", "")[:40])
