"""Between processes: requests, wake-ups, presence, rates and the queue."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import redis as plain_redis
from rq import Queue
from rq.serializers import JSONSerializer

from orchestrator.domain.errors import (
    JidoError,
    ProjectPathNotFound,
    SupervisorUnavailable,
    TooManyRequests,
)
from orchestrator.domain.ids import new_id
from orchestrator.store import keys
from orchestrator.store.facade import Store
from orchestrator.store.queue import JOB_FUNCTION, JOB_TIMEOUT_S, QUEUE_NAME
from orchestrator.store.rates import Rate
from orchestrator.store.requests import MAX_AT_ONCE, MAX_WAITING, Handler, error_class
from tests.support.valkey import Server


@asynccontextmanager
async def serving(server: Server, **handlers: Handler) -> AsyncIterator[None]:
    async with Store.open(server.url) as store:
        task = asyncio.create_task(store.requests.serve(handlers))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_a_request_is_answered(store: Store, server: Server) -> None:
    async def double(payload: dict[str, Any]) -> dict[str, Any]:
        return {"n": payload["n"] * 2}

    async with serving(server, double=double):
        answers = await asyncio.gather(
            *(store.requests.call("double", {"n": n}, 10) for n in range(40))
        )
    assert [a["n"] for a in answers] == [n * 2 for n in range(40)]


async def test_an_error_crosses_by_its_code(store: Store, server: Server) -> None:
    async def refuse(payload: dict[str, Any]) -> dict[str, Any]:
        raise ProjectPathNotFound("Nothing there.", path=payload["path"])

    async def break_down(payload: dict[str, Any]) -> dict[str, Any]:
        raise ZeroDivisionError("secret inside")

    async with serving(server, refuse=refuse, break_down=break_down):
        with pytest.raises(ProjectPathNotFound, match="Nothing there") as refusal:
            await store.requests.call("refuse", {"path": "/p"}, 10)
        assert refusal.value.extra == {"path": "/p"}
        for kind in ("break_down", "unknown"):
            with pytest.raises(JidoError) as failure:
                await store.requests.call(kind, {}, 10)
            assert failure.value.code == "internal"
            assert "secret" not in failure.value.detail
        with pytest.raises(ProjectPathNotFound):
            await store.requests.call("refuse", {"path": "/p"}, 10)


def test_every_code_of_the_tree_is_found_and_no_other() -> None:
    assert error_class("project_path_not_found") is ProjectPathNotFound
    assert error_class("os.system") is JidoError


async def test_nobody_there_ends_in_time_and_leaves_nothing(store: Store, server: Server) -> None:
    started = time.monotonic()
    with pytest.raises(SupervisorUnavailable):
        await store.requests.call("inspect_path", {}, 0.2)
    assert time.monotonic() - started < 3
    with server.client() as client:
        assert list(client.scan_iter()) == []


async def test_requests_that_nobody_waits_for_are_skipped(store: Store, server: Server) -> None:
    seen: list[str] = []

    async def note(payload: dict[str, Any]) -> dict[str, Any]:
        seen.append(payload["name"])
        return {}

    stale = {"id": new_id(), "kind": "note", "payload": {"name": "stale"}, "expires": 1.0}
    with server.client() as client:
        client.lpush(keys.REQUESTS, json.dumps(stale), "rubbish", "{}")
        client.lpush(keys.REQUESTS, *(["x"] * MAX_WAITING))
        asking = asyncio.create_task(store.requests.call("note", {"name": "fresh"}, 10))
        await asyncio.sleep(0.2)
        assert client.llen(keys.REQUESTS) == MAX_WAITING, "the list is bounded"
        async with serving(server, note=note):
            await asking
    assert seen == ["fresh"]


async def test_so_many_at_once_and_no_more(store: Store, server: Server) -> None:
    running, most = 0, 0

    async def slow(payload: dict[str, Any]) -> dict[str, Any]:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.02)
        running -= 1
        return {}

    async with serving(server, slow=slow):
        await asyncio.gather(*(store.requests.call("slow", {}, 20) for _ in range(60)))
    assert 2 <= most <= MAX_AT_ONCE


async def test_a_wake_up_is_a_flag(store: Store) -> None:
    with store.signals.watch("topic") as watch:
        assert await watch.wait(5)
        for _ in range(5):
            await store.signals.publish("topic")
        assert await watch.wait(5)
        await asyncio.sleep(0.1)
        await watch.wait(0)
        assert not await watch.wait(0.05)
        assert not await watch.wait(0)


async def test_many_watches_share_a_topic(store: Store) -> None:
    first, second = store.signals.watch("topic"), store.signals.watch("topic")
    assert await first.wait(5)
    assert await second.wait(5)
    first.close()
    first.close()
    await store.signals.publish("topic")
    assert await second.wait(5)
    assert not await first.wait(0.05)
    second.close()
    async with store.signals.listen() as signals:
        with signals.watch("other") as watch:
            assert await watch.wait()


async def test_presence_lapses(store: Store) -> None:
    assert await store.presence.present("worker") is None
    await store.presence.announce("worker", {"providers": ["offline"]}, 0.15)
    await store.presence.announce("supervisor", {"runtime": "docker"}, 10)
    assert await store.presence.present("worker") == {"providers": ["offline"]}
    await asyncio.sleep(0.2)
    assert await store.presence.present("worker") is None
    assert await store.presence.present("supervisor") == {"runtime": "docker"}
    await store.presence.withdraw("supervisor")
    assert await store.presence.present("supervisor") is None


async def test_a_rate_is_a_sliding_window_and_all_or_nothing(store: Store) -> None:
    narrow, wide = Rate("one", 2, 0.4), Rate("all", 3, 60)
    await store.rates.take(narrow, wide)
    await store.rates.take(narrow, wide)
    with pytest.raises(TooManyRequests) as refusal:
        await store.rates.take(narrow, wide)
    assert refusal.value.extra == {"retry_after_s": 1}
    await asyncio.sleep(0.45)
    await store.rates.take(narrow, wide)
    with pytest.raises(TooManyRequests) as refusal:
        await store.rates.take(narrow, wide)
    wait = refusal.value.extra["retry_after_s"]
    assert isinstance(wait, int)
    assert 50 < wait <= 60


async def test_a_rate_counts_everybody(store: Store) -> None:
    outcomes = await asyncio.gather(
        *(store.rates.take(Rate("x", 5, 60)) for _ in range(50)), return_exceptions=True
    )
    assert outcomes.count(None) == 5


async def test_a_job_carries_identifiers_only(store: Store, server: Server) -> None:
    session_id, turn_id = new_id(), new_id()
    await store.queue.enqueue(session_id, turn_id)
    connection = plain_redis.Redis(unix_socket_path=str(server.socket))
    try:
        (job,) = Queue(QUEUE_NAME, connection=connection, serializer=JSONSerializer).jobs
        assert (job.func_name, list(job.args)) == (JOB_FUNCTION, [session_id, turn_id])
        assert (job.timeout, job.result_ttl) == (JOB_TIMEOUT_S, 0)
    finally:
        connection.close()
