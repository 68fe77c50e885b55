"""Conversation, prompts and task lists."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from orchestrator.domain.errors import InvalidArgument, ProjectAlreadyOpen, SessionNotFound
from orchestrator.domain.history import HistoryEntry
from orchestrator.domain.ids import new_id
from orchestrator.domain.message import Message, TextPart, Todo
from orchestrator.store.facade import Store
from orchestrator.store.history import Conversation
from tests.integration.store.builders import a_notice, a_session, an_intent, claimed, created


def said(text: str) -> Message:
    return Message(
        id=new_id(),
        turn_id=new_id(),
        role="assistant",
        time=datetime.now(UTC),
        parts=[TextPart(text=text)],
    )


def both(text: str) -> HistoryEntry:
    return HistoryEntry(message=said(text), model={"kind": "response", "n": 0.1, "text": text})


def texts(messages: list[Message]) -> list[str]:
    return [part.text for m in messages for part in m.parts if isinstance(part, TextPart)]


async def test_entries_come_back_in_both_forms(store: Store) -> None:
    session = await claimed(store)
    entries = [
        both("a\nb"),
        HistoryEntry(model={"kind": "request"}),
        HistoryEntry(message=said("x\u2028")),
    ]
    await store.history.append(session.id, entries, [a_notice()])
    assert (await store.history.snapshot(session.id))[1].entries == entries
    assert await store.history.model_messages(session.id) == [entries[0].model, entries[1].model]
    assert await store.history.count(session.id) == 3
    assert (await store.sessions.get(session.id)).last_seq == 2


async def test_messages_page_backwards_oldest_first(store: Store) -> None:
    session = await claimed(store)
    silent = HistoryEntry(model={"kind": "request"})
    entries = [e for n in range(7) for e in (both(str(n)), silent, silent)]
    await store.history.append(session.id, entries, [])
    page = await store.history.messages(session.id, None, 3)
    assert texts(page.items) == ["4", "5", "6"]
    page = await store.history.messages(session.id, page.next, 3)
    assert texts(page.items) == ["1", "2", "3"]
    page = await store.history.messages(session.id, page.next, 3)
    assert (texts(page.items), page.next) == (["0"], None)


@pytest.mark.parametrize(("before", "limit", "expected"), [("0", 5, []), ("9" * 12, 2, ["a", "b"])])
async def test_a_cursor_at_the_edge_is_fine(
    store: Store, before: str, limit: int, expected: list[str]
) -> None:
    session = await claimed(store)
    await store.history.append(session.id, [both("a"), both("b")], [])
    assert texts((await store.history.messages(session.id, before, limit)).items) == expected


async def test_a_foreign_cursor_is_refused(store: Store) -> None:
    session = await claimed(store)
    for cursor in ("x", "-1", "", "1.5", "٣"):
        with pytest.raises(InvalidArgument):
            await store.history.messages(session.id, cursor, 1)


async def test_a_resumed_conversation_is_there_as_soon_as_its_session(store: Store) -> None:
    todo = Todo(id="1", content="Test")
    entries = [both(str(n)) for n in range(1203)]
    session = a_session("/home/somebody/project")
    began = Conversation(entries, ["p\n1", "p2"], [todo])
    await store.sessions.claim(
        session, an_intent(session), 10, [created(session)], conversation=began
    )
    assert (await store.history.snapshot(session.id))[1].entries == entries
    assert (await store.history.snapshot(session.id))[1].prompts == ["p\n1", "p2"]
    assert await store.history.todos(session.id) == [todo]
    assert (await store.sessions.get(session.id)).last_seq == 1


async def test_a_refused_claim_leaves_no_conversation(store: Store) -> None:
    await claimed(store)
    late = a_session("/home/somebody/project")
    with pytest.raises(ProjectAlreadyOpen):
        await store.sessions.claim(
            late, an_intent(late), 10, [], conversation=Conversation([both("x")], ["p"], [])
        )
    assert await store.history.count(late.id) == 0
    # Not even a key is left behind: the next claim of the same session finds nothing.
    await store.sessions.claim(
        late.model_copy(update={"project_path": "/p"}), an_intent(late), 10, []
    )
    assert (await store.history.snapshot(late.id))[1] == Conversation([], [], [])


async def test_todos_are_replaced_with_their_event(store: Store) -> None:
    session = await claimed(store)
    assert await store.history.todos(session.id) == []
    todos = [Todo(id="1", content="Read"), Todo(id="2", content="Write", status="in_progress")]
    await store.history.set_todos(session.id, todos, [a_notice("todos")])
    assert await store.history.todos(session.id) == todos
    assert (await store.events.read(session.id, 1, 1))[0].data["text"] == "todos"


async def test_a_session_that_is_gone_records_nothing(store: Store) -> None:
    gone = new_id()
    with pytest.raises(SessionNotFound):
        await store.history.append(gone, [both("a")], [])
    with pytest.raises(SessionNotFound):
        await store.history.set_todos(gone, [], [])
    assert (await store.history.messages(gone, None, 5)).items == []
    assert await store.history.count(gone) == 0
