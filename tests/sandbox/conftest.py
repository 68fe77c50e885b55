"""Sandboxes on both runtimes: one behavioural suite, so that neither can promise less."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.requirements import require_bubblewrap, require_docker
from tests.support.sandboxes import Sandboxes

RUNTIMES = [
    pytest.param("docker", marks=pytest.mark.docker),
    pytest.param("bubblewrap", marks=pytest.mark.bubblewrap),
]


@pytest.fixture(params=RUNTIMES)
async def sandboxes(request: pytest.FixtureRequest) -> AsyncIterator[Sandboxes]:
    kind: str = request.param
    require_docker() if kind == "docker" else require_bubblewrap()
    opened = Sandboxes(kind)
    try:
        yield opened
    finally:
        await opened.close()
