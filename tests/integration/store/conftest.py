"""The store on either server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from orchestrator.store.facade import Store
from tests.support.valkey import Server


@pytest_asyncio.fixture
async def store(server: Server) -> AsyncIterator[Store]:
    async with Store.open(server.url) as opened:
        yield opened
