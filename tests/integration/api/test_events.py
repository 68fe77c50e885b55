"""Event streams: replay, follow, resume, end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx

from orchestrator.api.app import create_app
from orchestrator.api.server import Server
from orchestrator.domain.events import NewEvent
from orchestrator.domain.limits import EVENTS_KEPT
from orchestrator.services.bundle import Services
from orchestrator.services.following import FollowService
from orchestrator.settings import Settings
from orchestrator.store.facade import Store
from orchestrator.wire.sse import Frame
from tests.integration.api.answers import assert_refused, frames
from tests.integration.api.conftest import TOKEN, Opened, client_of


def notices(first: int, last: int) -> list[NewEvent]:
    return [
        NewEvent(type="notice", data={"level": "info", "code": "test", "text": str(number)})
        for number in range(first, last + 1)
    ]


async def take(stream: AsyncIterator[Frame], count: int) -> list[Frame]:
    async with asyncio.timeout(10):
        return [await anext(stream) for _ in range(count)]


async def test_events_are_replayed_from_a_number_then_followed(
    client: httpx.AsyncClient, opened: Opened, store: Store
) -> None:
    session = await opened()
    last = session["last_seq"]
    await store.events.append(session["id"], notices(1, 3))
    url = f"/v1/sessions/{session['id']}/events"
    async with client.stream("GET", url, params={"after": 1}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        stream = frames(answer)
        replayed = await take(stream, last - 1 + 3)
        assert [frame.id for frame in replayed] == [str(n) for n in range(2, last + 4)]
        await store.events.append(session["id"], notices(4, 4))
        (followed,) = await take(stream, 1)
    event = json.loads(followed.data)
    assert (followed.event, event["type"], event["seq"]) == ("notice", "notice", last + 4)
    assert (event["session_id"], event["data"]["text"]) == (session["id"], "4")


async def test_last_event_id_resumes_and_wins_over_after(
    client: httpx.AsyncClient, opened: Opened, store: Store
) -> None:
    session = await opened()
    await store.events.append(session["id"], notices(1, 50))
    url = f"/v1/sessions/{session['id']}/events"
    seen: list[int] = []
    headers: dict[str, str] = {}
    for _ in range(5):
        async with client.stream("GET", url, params={"after": 0}, headers=headers) as answer:
            part = await take(frames(answer), 7)
        seen += [int(frame.id) for frame in part]
        headers = {"Last-Event-ID": part[-1].id}
    assert seen == list(range(1, 36))


async def test_a_thousand_events_while_following_arrive_exactly_once(
    client: httpx.AsyncClient, opened: Opened, store: Store
) -> None:
    session = await opened()
    start = session["last_seq"]
    url = f"/v1/sessions/{session['id']}/events"

    async def write() -> None:
        for number in range(100):
            await store.events.append(session["id"], notices(number * 10, number * 10 + 9))

    async with client.stream("GET", url, params={"after": start}) as answer:
        writing = asyncio.create_task(write())
        received = await take(frames(answer), 1000)
        await writing
    assert [int(frame.id) for frame in received] == list(range(start + 1, start + 1001))


async def test_headers_come_at_once_when_nothing_happens(
    client: httpx.AsyncClient, opened: Opened
) -> None:
    session = await opened()
    url = f"/v1/sessions/{session['id']}/events"
    async with asyncio.timeout(2):
        async with client.stream("GET", url, params={"after": session["last_seq"]}) as answer:
            assert answer.status_code == 200
            assert (await anext(answer.aiter_lines())).startswith(":")


async def test_an_idle_stream_is_kept_alive(
    opened: Opened, store: Store, services: Services, settings: Settings
) -> None:
    session = await opened()
    hasty = replace(services, following=FollowService(store, keepalive_s=0.1))
    url = f"/v1/sessions/{session['id']}/events"
    async with (
        client_of(create_app(hasty, settings, TOKEN), settings) as client,
        client.stream("GET", url, params={"after": session["last_seq"]}) as answer,
    ):
        lines = answer.aiter_lines()
        async with asyncio.timeout(5):
            comments = [await anext(lines) for _ in range(6)]
    assert [line for line in comments if line] == [": stream", ": keep-alive", ": keep-alive"]


async def test_the_stream_ends_after_the_session_was_closed(
    client: httpx.AsyncClient, opened: Opened
) -> None:
    session = await opened()
    url = f"/v1/sessions/{session['id']}"
    async with client.stream("GET", f"{url}/events") as answer:
        stream = frames(answer)
        assert (await take(stream, 1))[0].event == "session.created"
        assert (await client.delete(url)).status_code == 204
        async with asyncio.timeout(10):
            rest = [frame.event async for frame in stream]
    assert rest[-1] == "session.closed"
    async with client.stream("GET", f"{url}/events") as answer:
        assert [frame.event async for frame in frames(answer)][-1] == "session.closed"


async def test_a_place_that_is_gone_or_never_was(
    client: httpx.AsyncClient, opened: Opened, store: Store
) -> None:
    session = await opened()
    url = f"/v1/sessions/{session['id']}/events"
    assert_refused(await client.get(url, params={"after": 10_000_000}), 410, "events_trimmed")
    assert_refused(await client.get(url, params={"after": "x"}), 422, "invalid_argument")
    assert_refused(await client.get(url, headers={"Last-Event-ID": "-1"}), 422, "invalid_argument")
    for start in range(0, EVENTS_KEPT + 2000, 1000):
        await store.events.append(session["id"], notices(start, start + 999))
    assert_refused(await client.get(url, params={"after": 1}), 410, "events_trimmed")


async def test_all_sessions_are_followed_from_now_and_resumed(
    client: httpx.AsyncClient, opened: Opened, store: Store
) -> None:
    alpha, beta = await opened("alpha"), await opened("beta")
    async with client.stream("GET", "/v1/events") as answer:
        stream = frames(answer)
        await asyncio.sleep(0.1)
        await store.events.append(alpha["id"], notices(1, 1))
        await store.events.append(beta["id"], notices(2, 3))
        first = await take(stream, 2)
    async with client.stream(
        "GET", "/v1/events", headers={"Last-Event-ID": first[-1].id}
    ) as answer:
        (third,) = await take(frames(answer), 1)
    told = [json.loads(frame.data) for frame in (*first, third)]
    assert [(t["session_id"], t["data"]["text"]) for t in told] == [
        (alpha["id"], "1"),
        (beta["id"], "2"),
        (beta["id"], "3"),
    ]
    assert_refused(await client.get("/v1/events", params={"after": "zzz"}), 422, "invalid_argument")


async def test_more_streams_than_are_served_are_refused(
    opened: Opened, services: Services, settings: Settings
) -> None:
    session = await opened()
    url = f"/v1/sessions/{session['id']}/events"
    app = create_app(services, settings, TOKEN, max_streams=1)
    async with client_of(app, settings) as client, client.stream("GET", url) as answer:
        stream = frames(answer)
        await take(stream, 1)
        second = await client.get(url)
        assert_refused(second, 429, "rate_limited")
        assert second.headers["retry-after"] == "5"


async def test_a_stopping_server_ends_its_streams(
    client: httpx.AsyncClient, opened: Opened, server: Server
) -> None:
    session = await opened()
    async with client.stream("GET", f"/v1/sessions/{session['id']}/events") as answer:
        stream = frames(answer)
        await take(stream, 1)
        server.should_exit = True
        async with asyncio.timeout(3):
            assert "session.ready" in [frame.event async for frame in stream]


async def test_some_types_of_all_sessions_are_followed_without_the_rest(
    client: httpx.AsyncClient, opened: Opened, store: Store
) -> None:
    alpha = await opened("alpha")
    types = "session.created,session.closed"
    async with client.stream("GET", "/v1/events", params={"types": types}) as answer:
        stream = frames(answer)
        await store.events.append(alpha["id"], notices(1, 1200))
        beta = await opened("beta")
        await client.patch(f"/v1/sessions/{beta['id']}", json={"name": "other"})
        await store.events.append(alpha["id"], notices(1, 1200))
        await client.delete(f"/v1/sessions/{beta['id']}")
        seen = await take(stream, 2)
    assert [(f.event, json.loads(f.data)["session_id"]) for f in seen] == [
        ("session.created", beta["id"]),
        ("session.closed", beta["id"]),
    ]
    resumed = {"types": types, "after": seen[0].id}
    async with client.stream("GET", "/v1/events", params=resumed) as answer:
        (again,) = await take(frames(answer), 1)
    assert (again.event, again.id) == ("session.closed", seen[1].id)
    unknown = await client.get("/v1/events", params={"types": "session.opened"})
    assert "session.opened" in assert_refused(unknown, 422, "invalid_argument")["detail"]


async def test_a_stream_of_few_types_is_kept_alive_while_others_happen(
    opened: Opened, store: Store, services: Services, settings: Settings
) -> None:
    session = await opened()
    hasty = replace(services, following=FollowService(store, keepalive_s=0.3))
    async with (
        client_of(create_app(hasty, settings, TOKEN), settings) as client,
        client.stream("GET", "/v1/events", params={"types": "session.closed"}) as answer,
    ):
        lines = answer.aiter_lines()
        async with asyncio.timeout(10):
            for _ in range(6):
                await store.events.append(session["id"], notices(1, 2))
                line = ""
                while not line:
                    line = await anext(lines)
                assert line in (": stream", ": keep-alive")
