"""Numbers, replay and trimming of events."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.domain.errors import EventsTrimmed, InvalidArgument, SessionNotFound
from orchestrator.domain.events import NewEvent
from orchestrator.domain.ids import new_id
from orchestrator.domain.limits import EVENTS_KEPT
from orchestrator.store import keys
from orchestrator.store.facade import Store
from tests.integration.store.builders import a_notice, claimed
from tests.support.valkey import Server


async def test_numbers_have_no_gaps_under_concurrency(store: Store, server: Server) -> None:
    session = await claimed(store)

    async def write(writer: Store, name: str) -> list[int]:
        return [
            await writer.events.append(session.id, [a_notice(f"{name}.{n}.{i}") for i in range(3)])
            for n in range(20)
        ]

    async with Store.open(server.url) as other:
        lasts = await asyncio.gather(*(write(store if n % 2 else other, str(n)) for n in range(10)))
    events = await store.events.read(session.id, 1, 1000)
    assert [e.seq for e in events] == list(range(2, 602))
    assert len({e.data["text"] for e in events}) == 600
    for n, numbers in enumerate(lasts):
        own = [e.seq for e in events if e.data["text"].startswith(f"{n}.")]
        assert own[2::3] == numbers
        assert all(b - a == 1 for a, b in zip(own[::3], own[1::3], strict=True))
    assert (await store.sessions.get(session.id)).last_seq == 601


async def test_reading_pages_forward(store: Store) -> None:
    session = await claimed(store)
    await store.events.append(session.id, [a_notice(str(n)) for n in range(9)])
    assert [e.seq for e in await store.events.read(session.id, 0, 4)] == [1, 2, 3, 4]
    assert [e.seq for e in await store.events.read(session.id, 4, 100)] == [5, 6, 7, 8, 9, 10]
    assert await store.events.read(session.id, 10, 4) == []
    assert await store.events.append(session.id, []) == 10


async def test_an_event_comes_back_as_it_was_given(store: Store) -> None:
    session = await claimed(store)
    data = {"text": 'ä\u2028\n"\0', "n": 0.1, "empty": [], "none": None, "deep": {"a": [1, {}]}}
    await store.events.append(session.id, [NewEvent(type="notice", data=data)])
    (event,) = await store.events.read(session.id, 1, 1)
    assert (event.session_id, event.seq, event.type, event.data) == (session.id, 2, "notice", data)


async def test_hostile_values_cannot_make_a_write_fail(store: Store) -> None:
    session = await claimed(store)
    await store.events.append(
        session.id,
        [NewEvent(type="notice", data={"text": "\ud800", "n": float("nan")})],
    )
    (event,) = await store.events.read(session.id, 1, 1)
    assert event.data == {"text": "?", "n": None}


async def test_what_was_trimmed_is_said(store: Store) -> None:
    session = await claimed(store)
    batch = [a_notice() for _ in range(1000)]
    for _ in range(EVENTS_KEPT // 1000 + 1):
        last = await store.events.append(session.id, batch)
    with pytest.raises(EventsTrimmed) as trimmed:
        await store.events.read(session.id, 0, 10)
    oldest = trimmed.value.extra["oldest"]
    assert isinstance(oldest, int)
    assert last - EVENTS_KEPT - 1000 < oldest <= last - EVENTS_KEPT + 1
    assert (await store.events.read(session.id, oldest - 1, 1))[0].seq == oldest
    with pytest.raises(EventsTrimmed):
        await store.events.read(session.id, oldest - 2, 1)
    with pytest.raises(EventsTrimmed):
        await store.events.read_all("0", 10)
    assert len(await store.events.read_all(None, 10)) == 10


async def test_all_sessions_share_one_stream(store: Store) -> None:
    first, second = await claimed(store, "/p/a"), await claimed(store, "/p/b")
    start = await store.events.newest()
    assert start == "2"
    await store.events.append(second.id, [a_notice("one")])
    await store.events.append(first.id, [a_notice("two"), a_notice("three")])
    rows = await store.events.read_all(start, 10)
    assert [(c, e.session_id, e.seq, e.data["text"]) for c, e in rows] == [
        ("3", second.id, 2, "one"),
        ("4", first.id, 2, "two"),
        ("5", first.id, 3, "three"),
    ]
    assert await store.events.read_all("4", 10) == rows[2:]
    assert len(await store.events.read_all(None, 10)) == 5
    for cursor in ("", "x", "-1", "1-0", "9" * 30):
        with pytest.raises(InvalidArgument):
            await store.events.read_all(cursor, 10)


async def test_an_unknown_session_has_no_events(store: Store) -> None:
    assert await store.events.newest() == "0"
    with pytest.raises(SessionNotFound):
        await store.events.read(new_id(), 0, 1)
    with pytest.raises(SessionNotFound):
        await store.events.append(new_id(), [a_notice()])
    with pytest.raises(SessionNotFound):
        await store.events.last_seq(new_id())


async def test_an_event_wakes_its_session_and_all(store: Store, server: Server) -> None:
    mine, other = await claimed(store, "/p/a"), await claimed(store, "/p/b")
    async with Store.open(server.url) as writer:
        with (
            store.signals.watch(keys.session_topic(mine.id)) as watch,
            store.signals.watch(keys.session_topic(other.id)) as quiet,
            store.signals.watch(keys.ALL_TOPIC) as everything,
        ):
            for w in (watch, quiet, everything):
                assert await w.wait(5)
            await writer.events.append(mine.id, [a_notice(), a_notice()])
            assert await watch.wait(5)
            assert await everything.wait(5)
            assert not await quiet.wait(0.05)
