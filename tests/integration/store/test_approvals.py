"""Turns that wait for the user's word."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.domain.errors import (
    ApprovalAlreadyAnswered,
    ApprovalNotFound,
    SessionChanged,
)
from orchestrator.domain.history import Answer, PendingApproval
from orchestrator.domain.session import Usage
from orchestrator.domain.turn import Turn
from orchestrator.store.facade import Store
from tests.integration.store.builders import a_turn, ready, types_of

SHELL = PendingApproval(call_id="c1", tool="shell", arguments={"command": "make"}, reason="runs")
WRITE = PendingApproval(call_id="c2", tool="write_file", arguments={"path": "a"})


async def suspended(store: Store, *approvals: PendingApproval) -> Turn:
    session = await ready(store)
    turn, _ = await store.turns.accept(a_turn(session.id), None)
    assert await store.turns.begin(session.id, turn.id, "w")
    spent = Usage(input_tokens=3)
    assert await store.turns.suspend(session.id, turn.id, [*approvals], spent) is None
    return await store.turns.get(session.id, turn.id)


async def test_a_suspended_turn_waits_without_a_worker(store: Store) -> None:
    turn = await suspended(store, SHELL, WRITE)
    assert turn.status == "awaiting_approval"
    assert (await store.sessions.get(turn.session_id)).activity == "awaiting_approval"
    assert await store.leases.holder(turn.id) is None
    assert await store.turns.approvals(turn.session_id, turn.id) == [SHELL, WRITE]
    assert await store.turns.begin(turn.session_id, turn.id, "w") is None
    assert await store.turns.orphans() == []
    event = (await store.events.read(turn.session_id, 0, 99))[-1]
    assert (event.type, event.data["call_id"], event.data["tool"]) == (
        "approval.requested",
        "c2",
        "write_file",
    )


async def test_many_questions_keep_their_order(store: Store) -> None:
    many = [
        PendingApproval(call_id=f"c{n}", tool="shell", arguments={"command": "x" * 100})
        for n in (3, 1, 2, 9, 5, 4, 8, 7, 6, 0)
    ]
    turn = await suspended(store, *many)
    assert await store.turns.approvals(turn.session_id, turn.id) == many


async def test_the_last_answer_continues_the_turn(store: Store) -> None:
    turn = await suspended(store, SHELL, WRITE)
    sid = turn.session_id
    assert not await store.turns.answer(sid, turn.id, "c1", "session", None)
    assert await store.turns.begin(sid, turn.id, "w") is None
    assert await store.turns.answer(sid, turn.id, "c2", "deny", "Not there.")
    assert await store.turns.answers(sid, turn.id) == {
        "c1": Answer(decision="session"),
        "c2": Answer(decision="deny", reason="Not there."),
    }
    assert await store.turns.allowed_tools(sid) == {"shell"}
    assert [t.id for _, t in await store.turns.orphans()] == [turn.id]
    assert (await store.sessions.get(sid)).activity == "working"
    again = await store.turns.begin(sid, turn.id, "w")
    assert again is not None
    assert again.started_at == turn.started_at
    types = await types_of(store, sid)
    assert types.count("turn.started") == 1
    assert types.count("approval.answered") == 2
    await store.turns.finish(sid, turn.id, "completed", Usage(input_tokens=4))
    assert (await store.turns.get(sid, turn.id)).usage.input_tokens == 7
    assert (await store.sessions.get(sid)).usage.input_tokens == 7


async def test_the_first_answer_wins(store: Store) -> None:
    turn = await suspended(store, SHELL)
    outcomes = await asyncio.gather(
        *(
            store.turns.answer(turn.session_id, turn.id, "c1", decision, None)
            for decision in ("once", "deny") * 5
        ),
        return_exceptions=True,
    )
    assert outcomes.count(True) == 1
    assert sum(isinstance(o, ApprovalAlreadyAnswered) for o in outcomes) == 9
    with pytest.raises(ApprovalNotFound):
        await store.turns.answer(turn.session_id, turn.id, "c9", "once", None)


async def test_a_second_round_asks_anew(store: Store) -> None:
    turn = await suspended(store, SHELL)
    sid = turn.session_id
    assert await store.turns.answer(sid, turn.id, "c1", "once", None)
    assert await store.turns.begin(sid, turn.id, "w")
    await store.turns.suspend(sid, turn.id, [WRITE])
    assert await store.turns.approvals(sid, turn.id) == [WRITE]
    with pytest.raises(ApprovalAlreadyAnswered):
        await store.turns.answer(sid, turn.id, "c1", "deny", None)
    assert await store.turns.answer(sid, turn.id, "c2", "once", None)


async def test_a_waiting_turn_is_cancelled_at_once(store: Store) -> None:
    turn = await suspended(store, SHELL)
    following, _ = await store.turns.accept(a_turn(turn.session_id), None)
    assert await store.turns.request_cancel(turn.session_id, turn.id) == following
    assert (await store.turns.get(turn.session_id, turn.id)).status == "cancelled"
    with pytest.raises(ApprovalNotFound):
        await store.turns.answer(turn.session_id, turn.id, "c1", "once", None)


async def test_a_cancel_that_came_before_the_question_is_not_lost(store: Store) -> None:
    session = await ready(store)
    turn, _ = await store.turns.accept(a_turn(session.id), None)
    following, _ = await store.turns.accept(a_turn(session.id), None)
    assert await store.turns.begin(session.id, turn.id, "w")
    await store.turns.request_cancel(session.id, turn.id)
    assert await store.turns.suspend(session.id, turn.id, [SHELL]) == following
    assert (await store.turns.get(session.id, turn.id)).status == "cancelled"


async def test_only_a_working_turn_may_ask(store: Store) -> None:
    session = await ready(store)
    turn, _ = await store.turns.accept(a_turn(session.id), None)
    with pytest.raises(SessionChanged):
        await store.turns.suspend(session.id, turn.id, [SHELL])
    assert await store.turns.begin(session.id, turn.id, "w")
    with pytest.raises(SessionChanged):
        await store.turns.suspend(session.id, turn.id, [])
