"""Accepting, beginning, finishing and cancelling turns."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.domain.errors import (
    QueueFull,
    SessionChanged,
    SessionNotFound,
    SessionNotReady,
    TurnNotFound,
)
from orchestrator.domain.ids import new_id
from orchestrator.domain.limits import IDEMPOTENCY_KEYS_KEPT, MAX_QUEUED_TURNS
from orchestrator.domain.message import TextPart
from orchestrator.domain.session import Usage
from orchestrator.domain.turn import Turn, TurnError
from orchestrator.store import keys
from orchestrator.store.facade import Store
from tests.integration.store.builders import a_turn, claimed, ready, types_of
from tests.support.valkey import Server

SPENT = Usage(input_tokens=10, output_tokens=5, cost_usd=0.25)


async def accepted(store: Store, session_id: str, prompt: str = "Do something.") -> Turn:
    turn, _ = await store.turns.accept(a_turn(session_id, prompt), None)
    return turn


async def begun(store: Store, session_id: str, prompt: str = "Do something.") -> Turn:
    turn = await store.turns.begin(session_id, (await accepted(store, session_id, prompt)).id, "w")
    assert turn is not None
    return turn


async def test_an_accepted_turn_is_active_when_nothing_else_is(store: Store) -> None:
    session = await ready(store)
    turn, enqueue = await store.turns.accept(a_turn(session.id, "Hello"), None)
    assert enqueue
    assert await store.turns.active(session.id) == turn
    assert await store.turns.get(session.id, turn.id) == turn
    now = await store.sessions.get(session.id)
    assert (now.turns, now.activity) == (1, "working")
    assert (await types_of(store, session.id))[2:] == ["turn.queued", "message.user"]
    (message,) = (await store.history.messages(session.id, None, 10)).items
    assert (message.turn_id, message.role, message.parts) == (
        turn.id,
        "user",
        [TextPart(text="Hello")],
    )
    assert (await store.history.snapshot(session.id))[1].prompts == ["Hello"]


async def test_the_same_key_gives_the_same_turn(store: Store) -> None:
    session = await ready(store)
    outcomes = await asyncio.gather(
        *(store.turns.accept(a_turn(session.id), "once") for _ in range(50))
    )
    assert len({turn.id for turn, _ in outcomes}) == 1
    assert sum(enqueue for _, enqueue in outcomes) == 1
    assert (await store.sessions.get(session.id)).turns == 1
    other, enqueue = await store.turns.accept(a_turn(session.id), "twice")
    assert other.id != outcomes[0][0].id
    assert not enqueue


async def test_a_key_holds_when_the_session_is_no_longer_ready(store: Store) -> None:
    session = await ready(store)
    turn, _ = await store.turns.accept(a_turn(session.id), "once")
    await store.sessions.update(
        session.id, lambda s: s.model_copy(update={"status": "closing"}), lambda _o, _n: []
    )
    assert (await store.turns.accept(a_turn(session.id), "once"))[0].id == turn.id
    with pytest.raises(SessionNotReady):
        await store.turns.accept(a_turn(session.id), "twice")


async def test_the_oldest_keys_are_forgotten(store: Store, server: Server) -> None:
    session = await ready(store)
    with server.client() as client:
        order, known = keys.idempotency_order(session.id), keys.idempotency(session.id)
        client.rpush(order, *(f"k{n}" for n in range(IDEMPOTENCY_KEYS_KEPT)))
        client.hset(known, mapping={f"k{n}": "t" for n in range(IDEMPOTENCY_KEYS_KEPT)})
        await store.turns.accept(a_turn(session.id), "new")
        assert client.llen(order) == client.hlen(known) == IDEMPOTENCY_KEYS_KEPT
        assert client.hget(known, "k0") is None
        assert client.hget(known, "k1") == "t"


async def test_a_session_that_is_not_ready_takes_no_turn(store: Store) -> None:
    session = await claimed(store)
    with pytest.raises(SessionNotReady):
        await store.turns.accept(a_turn(session.id), "key")
    assert await types_of(store, session.id) == ["session.created"]
    with pytest.raises(SessionNotFound):
        await store.turns.accept(a_turn(new_id()), "key")


async def test_further_turns_wait_visibly_up_to_a_limit(store: Store) -> None:
    session = await ready(store)
    first = await accepted(store, session.id)
    waiting = [await accepted(store, session.id, f"{n}") for n in range(MAX_QUEUED_TURNS)]
    assert await store.turns.pending(session.id) == waiting
    with pytest.raises(QueueFull):
        await store.turns.accept(a_turn(session.id), None)
    assert await store.turns.active(session.id) == first
    assert await store.history.count(session.id) == 1


async def test_one_of_many_workers_begins(store: Store) -> None:
    session = await ready(store)
    turn = await accepted(store, session.id)
    begun_by = await asyncio.gather(
        *(store.turns.begin(session.id, turn.id, f"worker-{n}") for n in range(20))
    )
    (working,) = [t for t in begun_by if t is not None]
    assert (working.status, working.started_at is not None) == ("working", True)
    assert (await types_of(store, session.id)).count("turn.started") == 1
    holder = await store.leases.holder(turn.id)
    assert holder == f"worker-{begun_by.index(working)}"


async def test_beginning_what_is_gone_or_waits_gives_nothing(store: Store) -> None:
    session = await ready(store)
    await accepted(store, session.id)
    waiting = await accepted(store, session.id)
    assert await store.turns.begin(session.id, waiting.id, "w") is None
    assert await store.turns.begin(session.id, new_id(), "w") is None
    assert await store.turns.begin(new_id(), waiting.id, "w") is None
    with pytest.raises(TurnNotFound):
        await store.turns.get(session.id, new_id())
    with pytest.raises(SessionNotFound):
        await store.turns.get(new_id(), waiting.id)


async def test_finishing_counts_and_promotes_in_order(store: Store) -> None:
    session = await ready(store)
    first = await begun(store, session.id, "first")
    second = await accepted(store, session.id, "second")
    third = await accepted(store, session.id, "third")
    following = await store.turns.finish(session.id, first.id, "completed", SPENT)
    assert following == second
    assert await store.turns.active(session.id) == second
    assert await store.turns.pending(session.id) == [third]
    assert await store.leases.holder(first.id) is None
    now = await store.sessions.get(session.id)
    assert (now.usage, now.activity) == (SPENT, "working")
    assert (await types_of(store, session.id))[-3:] == [
        "usage.updated",
        "turn.completed",
        "message.user",
    ]
    over = await store.turns.get(session.id, first.id)
    assert (over.status, over.usage, over.finished_at is not None) == ("completed", SPENT, True)
    await store.turns.begin(session.id, second.id, "w")
    assert await store.turns.finish(session.id, second.id, "failed", Usage()) == third
    await store.turns.begin(session.id, third.id, "w")
    error = TurnError(code="model_unavailable", message="Try again.")
    assert await store.turns.finish(session.id, third.id, "failed", SPENT, error) is None
    assert (await store.turns.get(session.id, third.id)).error == error
    now = await store.sessions.get(session.id)
    assert (now.activity, now.usage.input_tokens) == ("idle", 20)
    assert await store.turns.active(session.id) is None
    prompts = [m.parts[0] for m in (await store.history.messages(session.id, None, 9)).items]
    assert prompts == [TextPart(text=t) for t in ("first", "second", "third")]


async def test_a_turn_ends_once(store: Store) -> None:
    session = await ready(store)
    turn = await begun(store, session.id)
    await asyncio.gather(
        store.turns.finish(session.id, turn.id, "interrupted", SPENT),
        store.turns.finish(session.id, turn.id, "completed", SPENT),
    )
    ends = [
        t for t in await types_of(store, session.id) if t in ("turn.interrupted", "turn.completed")
    ]
    assert len(ends) == 1
    assert (await store.sessions.get(session.id)).usage == SPENT
    assert await store.turns.finish(new_id(), turn.id, "failed", SPENT) is None


async def test_a_queued_turn_cannot_complete(store: Store) -> None:
    session = await ready(store)
    turn = await accepted(store, session.id)
    for status in ("completed", "working"):
        with pytest.raises(SessionChanged):
            await store.turns.finish(session.id, turn.id, status, SPENT)


async def test_a_closing_session_promotes_nothing(store: Store) -> None:
    session = await ready(store)
    turn = await begun(store, session.id)
    waiting = [await accepted(store, session.id) for _ in range(2)]
    await store.sessions.update(
        session.id, lambda s: s.model_copy(update={"status": "closing"}), lambda _o, _n: []
    )
    assert await store.turns.finish(session.id, turn.id, "cancelled", Usage()) is None
    assert await store.turns.pending(session.id) == []
    for other in waiting:
        assert (await store.turns.get(session.id, other.id)).status == "cancelled"
    assert (await store.sessions.get(session.id)).activity == "idle"


async def test_cancelling_a_working_turn_tells_its_worker(store: Store) -> None:
    session = await ready(store)
    turn = await begun(store, session.id)
    with store.signals.watch(keys.turn_topic(turn.id)) as watch:
        assert await watch.wait(5)
        assert not await store.turns.is_cancel_requested(session.id, turn.id)
        assert await store.turns.request_cancel(session.id, turn.id) is None
        assert await watch.wait(5)
    assert await store.turns.is_cancel_requested(session.id, turn.id)
    assert (await store.turns.get(session.id, turn.id)).status == "working"
    await store.turns.finish(session.id, turn.id, "cancelled", Usage())
    assert not await store.turns.is_cancel_requested(session.id, turn.id)
    assert await store.turns.request_cancel(session.id, turn.id) is None
    with pytest.raises(TurnNotFound):
        await store.turns.request_cancel(session.id, new_id())


async def test_cancelling_what_waits_takes_it_out_at_once(store: Store) -> None:
    session = await ready(store)
    first = await accepted(store, session.id)
    second = await accepted(store, session.id)
    third = await accepted(store, session.id)
    assert await store.turns.request_cancel(session.id, second.id) is None
    assert (await store.turns.get(session.id, second.id)).status == "cancelled"
    assert await store.turns.pending(session.id) == [third]
    assert await store.turns.request_cancel(session.id, first.id) == third
    assert await store.turns.begin(session.id, first.id, "w") is None
    assert await store.turns.active(session.id) == third


async def test_a_turn_without_a_worker_is_an_orphan(store: Store, server: Server) -> None:
    session, other = await ready(store, "/p/a"), await ready(store, "/p/b")
    queued = await accepted(store, other.id)
    working = await begun(store, session.id)
    assert await store.turns.orphans() == [(other.id, queued)]
    with server.client() as client:
        client.delete(keys.lease(working.id))
    assert await store.turns.orphans() == [(session.id, working), (other.id, queued)]
    assert await store.turns.begin(session.id, working.id, "another") is None


async def test_only_its_holder_renews_a_lease(store: Store, server: Server) -> None:
    session = await ready(store)
    turn = await begun(store, session.id)
    with server.client() as client:
        client.pexpire(keys.lease(turn.id), 2000)
        assert not await store.leases.renew(turn.id, "another")
        assert client.pttl(keys.lease(turn.id)) <= 2000
        assert await store.leases.renew(turn.id, "w")
        assert client.pttl(keys.lease(turn.id)) > 2000
        client.delete(keys.lease(turn.id))
    assert not await store.leases.renew(turn.id, "w")
    assert await store.leases.holder(turn.id) is None
