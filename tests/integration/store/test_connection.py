"""Translated errors, patience and stories that never get through."""

from __future__ import annotations

from pathlib import Path

import pytest
from redis.exceptions import RedisError

from orchestrator.domain.errors import NoSpace, SessionChanged, StoreUnavailable
from orchestrator.store.connection import translated
from orchestrator.store.facade import Store
from orchestrator.store.transaction import VersionChanged, until_committed


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RedisError("MISCONF Errors writing to the AOF file: No space left on device"), NoSpace),
        (RedisError("Connection refused"), StoreUnavailable),
        (OSError(111, "Connection refused"), StoreUnavailable),
        (TimeoutError(), StoreUnavailable),
    ],
)
def test_errors_of_the_library_are_translated(error: Exception, expected: type[Exception]) -> None:
    with pytest.raises(expected), translated():
        raise error


def test_other_errors_pass() -> None:
    with pytest.raises(ZeroDivisionError), translated():
        raise ZeroDivisionError


async def test_a_story_that_others_never_let_through_ends() -> None:
    tries = 0

    async def story() -> None:
        nonlocal tries
        tries += 1
        raise VersionChanged

    with pytest.raises(SessionChanged):
        await until_committed(story)
    assert tries > 10


async def test_opening_asks_nothing_and_using_says_what_to_do(tmp_path: Path) -> None:
    async with Store.open(f"unix://{tmp_path}/nobody.sock") as store:
        with pytest.raises(StoreUnavailable, match="JIDO_REDIS_URL"):
            await store.sessions.list()
