"""Probes run together: the answers of a module are collected once and judged one by one."""

from __future__ import annotations

import pytest

from tests.sandbox.probes.places import Places


@pytest.fixture(scope="module")
def places(request: pytest.FixtureRequest) -> Places:
    return Places(request.module.PROBES)
