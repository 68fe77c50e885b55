"""Claiming, changing and removing sessions."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from orchestrator.domain.errors import (
    ProjectAlreadyOpen,
    SessionLimitReached,
    SessionNotFound,
    SessionNotReady,
)
from orchestrator.domain.events import NewEvent
from orchestrator.domain.session import Session
from orchestrator.store import keys
from orchestrator.store.facade import Store
from tests.integration.store.builders import (
    a_notice,
    a_session,
    a_turn,
    an_intent,
    claimed,
    created,
    ready,
    types_of,
)
from tests.support.valkey import Server

NOBODY = "00000000-0000-4000-8000-000000000000"


def no_events(_old: Session, _new: Session) -> list[NewEvent]:
    return []


def named(name: str) -> Any:
    return lambda session: session.model_copy(update={"name": name})


async def test_a_claimed_session_is_found_by_creation(store: Store) -> None:
    first = await claimed(store, "/p/b")
    second = await claimed(store, "/p/a")
    assert first.last_seq == 1
    assert [s.id for s in await store.sessions.list()] == [first.id, second.id]
    assert await store.sessions.get(first.id) == first
    assert await types_of(store, first.id) == ["session.created"]


async def test_one_path_has_one_session(store: Store) -> None:
    first = await claimed(store, "/p/a")
    with pytest.raises(ProjectAlreadyOpen) as refusal:
        await claimed(store, "/p/a")
    assert refusal.value.extra == {"session_id": first.id}
    assert len(await store.sessions.list()) == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [("/p/a", "/p/a/sub"), ("/p/a/sub", "/p/a"), ("/p/a", "/p/a/deep/er"), ("/p", "/p/a/b/c")],
)
async def test_nested_paths_are_not_open_together(store: Store, first: str, second: str) -> None:
    live = await claimed(store, first)
    with pytest.raises(ProjectAlreadyOpen, match="overlaps") as refusal:
        await claimed(store, second)
    assert refusal.value.extra == {"session_id": live.id, "overlaps": first}
    assert first in refusal.value.detail
    await store.sessions.remove(live.id, [])
    assert await claimed(store, second)


@pytest.mark.parametrize("neighbour", ["/p/ab", "/p/a-b/sub", "/p/b", "/p/A", "/q/p/a"])
async def test_neighbours_are_open_together(store: Store, neighbour: str) -> None:
    await claimed(store, "/p/a")
    assert await claimed(store, neighbour)


async def test_of_many_nested_claims_at_once_one_is_admitted(store: Store) -> None:
    outcomes = await asyncio.gather(
        *(claimed(store, "/p" + "/a" * depth) for depth in range(1, 60)), return_exceptions=True
    )
    assert sum(isinstance(o, Session) for o in outcomes) == 1
    assert sum(isinstance(o, ProjectAlreadyOpen) for o in outcomes) == 58


async def test_a_live_id_cannot_be_claimed_again(store: Store) -> None:
    first = await claimed(store, "/p/a")
    again = a_session("/p/other", id=first.id)
    with pytest.raises(ProjectAlreadyOpen):
        await store.sessions.claim(again, an_intent(again), 10, [created(again)])


async def test_a_thousand_claims_at_nine_live_admit_one(store: Store) -> None:
    live = [await claimed(store, f"/p/{n}") for n in range(9)]
    outcomes = await asyncio.gather(
        *(claimed(store, f"/q/{n}") for n in range(1000)), return_exceptions=True
    )
    admitted = [o for o in outcomes if isinstance(o, Session)]
    refused = [o for o in outcomes if isinstance(o, SessionLimitReached)]
    assert (len(admitted), len(refused)) == (1, 999)
    everyone = [{"id": s.id, "name": s.name} for s in [*live, admitted[0]]]
    assert refused[0].extra == {"current": 10, "max": 10, "sessions": everyone}
    assert len(await store.sessions.list()) == 10


async def test_a_thousand_claims_of_one_path_admit_one(store: Store) -> None:
    outcomes = await asyncio.gather(
        *(claimed(store, "/p/same") for _ in range(200)), return_exceptions=True
    )
    assert sum(isinstance(o, Session) for o in outcomes) == 1
    assert sum(isinstance(o, ProjectAlreadyOpen) for o in outcomes) == 199


async def test_one_directory_by_two_real_paths_is_open_once(store: Store) -> None:
    async def claim(path: str, place: str) -> Session:
        session = a_session(path)
        story = [created(session)]
        return await store.sessions.claim(session, an_intent(session), 10, story, place=place)

    paths = ("/p/here", "/q/mounted")
    outcomes = await asyncio.gather(
        *(claim(paths[n % 2], "8:77") for n in range(100)), return_exceptions=True
    )
    (winner,) = [each for each in outcomes if isinstance(each, Session)]
    refused = [each for each in outcomes if isinstance(each, ProjectAlreadyOpen)]
    assert len(refused) == 99
    assert {each.extra["session_id"] for each in refused} == {winner.id}
    assert f"“{winner.name}” ({winner.id[:8]})" in refused[0].detail
    await claim("/q/other", "8:78")
    await store.sessions.remove(winner.id, [])
    await claim("/q/mounted", "8:77")


@pytest.mark.parametrize("session_id", [NOBODY, "", "x:events", "../../etc", "*"])
async def test_an_unknown_session_is_not_found(store: Store, session_id: str) -> None:
    with pytest.raises(SessionNotFound):
        await store.sessions.get(session_id)
    assert await store.sessions.find(session_id) is None
    with pytest.raises(SessionNotFound):
        await store.sessions.update(session_id, named("x"), no_events)
    with pytest.raises(SessionNotFound):
        await store.sessions.set_desired(session_id, "stopped")


async def test_concurrent_updates_all_count(store: Store) -> None:
    session = await claimed(store)

    def add_turn(current: Session) -> Session:
        return current.model_copy(update={"turns": current.turns + 1})

    results = await asyncio.gather(
        *(
            store.sessions.update(session.id, add_turn, lambda _o, _n: [a_notice()])
            for _ in range(50)
        )
    )
    final = await store.sessions.get(session.id)
    assert final.turns == 50
    assert final.last_seq == 51
    assert sorted(r.last_seq for r in results) == list(range(2, 52))
    assert final.updated_at > session.updated_at


async def test_an_update_writes_record_and_events_together(store: Store) -> None:
    session = await claimed(store)
    changed = await store.sessions.update(
        session.id,
        named("Neu"),
        lambda old, new: [a_notice(f"{old.name} → {new.name}")],
    )
    assert (changed.name, changed.last_seq) == ("Neu", 2)
    assert await store.sessions.get(session.id) == changed
    assert (await store.events.read(session.id, 1, 10))[0].data["text"] == "project → Neu"


async def test_the_domain_decides_which_status_follows(store: Store) -> None:
    session = await ready(store)
    with pytest.raises(SessionNotReady):
        await store.sessions.update(
            session.id, lambda s: s.model_copy(update={"status": "starting"}), no_events
        )
    assert (await store.sessions.get(session.id)).status == "ready"


async def test_removing_gives_slot_and_path_back_and_keeps_events_a_while(
    store: Store, server: Server
) -> None:
    session = await ready(store, "/p/a")
    await store.turns.accept(a_turn(session.id), "key")
    await store.history.set_todos(session.id, [], [])
    closed = NewEvent(type="session.closed", data={"session": session.model_dump(mode="json")})
    assert await store.sessions.remove(session.id, [closed]) is True
    assert await store.sessions.remove(session.id, [closed]) is False
    assert await store.sessions.list() == []
    assert (await types_of(store, session.id))[-1] == "session.closed"
    assert await store.events.last_seq(session.id) == 5
    with pytest.raises(SessionNotFound):
        await store.events.append(session.id, [a_notice()])
    await claimed(store, "/p/a", maximum=1)
    with server.client() as client:
        left = [k for k in client.scan_iter() if session.id in k]
        assert left == [keys.events(session.id)]
        assert 0 < client.pttl(keys.events(session.id)) <= 60_000


async def test_an_id_can_live_again_with_a_story_of_its_own(store: Store) -> None:
    session = await claimed(store)
    await store.events.append(session.id, [a_notice() for _ in range(5)])
    await store.sessions.remove(session.id, [a_notice()])
    again = await store.sessions.claim(session, an_intent(session), 10, [created(session)])
    assert again.last_seq == 1
    assert await types_of(store, session.id) == ["session.created"]


async def test_intents_follow_what_is_desired(store: Store) -> None:
    session = await claimed(store)
    assert await store.sessions.intents() == [an_intent(session)]
    await store.sessions.set_desired(session.id, "running", bump=True)
    await store.sessions.set_desired(session.id, "stopped")
    (intent,) = await store.sessions.intents()
    assert (intent.desired, intent.generation) == ("stopped", 2)
    await store.sessions.remove(session.id, [])
    assert await store.sessions.intents() == []


async def test_every_change_of_an_intent_wakes_the_supervisor(store: Store) -> None:
    with store.signals.watch(keys.SUPERVISOR_TOPIC) as watch:
        assert await watch.wait(5), "the subscription's own wake-up"
        session = await claimed(store)
        assert await watch.wait(5)
        await store.sessions.set_desired(session.id, "stopped")
        assert await watch.wait(5)
        await store.sessions.remove(session.id, [])
        assert await watch.wait(5)
        assert not await watch.wait(0.05)
