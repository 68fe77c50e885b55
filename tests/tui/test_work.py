"""What runs beside the screen, against a server, with the outcomes held back by the test."""

from __future__ import annotations

import asyncio

from tests.support.scripted_api import TOKEN, ScriptedApi
from tui.client import Api
from tui.http import Http
from tui.state import outcomes as o
from tui.state.reduce import reduce
from tui.state.workspace import Workspace
from tui.work import Work


async def told(outcomes: list[o.Outcome], kind: type) -> list[o.Outcome]:
    """Wait for an outcome of a kind; return all of that kind."""
    async with asyncio.timeout(10):
        while not (found := [x for x in outcomes if isinstance(x, kind)]):
            await asyncio.sleep(0.01)
    return found


async def test_a_prompt_is_sent_once_and_the_next_one_follows_it(api: ScriptedApi) -> None:
    """Also when events arrive between a prompt's answer and the reducing of that answer."""
    record = api.add_session("/work/parser")
    workspace, outcomes = Workspace(), list[o.Outcome]()
    work = Work(Api(Http(api.url, TOKEN)), workspace, outcomes.append)
    reduce(workspace, o.SessionOpened(record.model_dump(mode="json")))
    reduce(workspace, o.PromptTyped(record.id, "key-1", "first"))
    work.attend()
    accepted = await told(outcomes, o.PromptAccepted)
    work.attend()
    reduce(workspace, accepted[0])
    work.attend()
    await asyncio.sleep(0.05)
    assert len(api.hits("POST", "/turns")) == 1
    outcomes.clear()
    reduce(workspace, o.PromptTyped(record.id, "key-2", "second"))
    work.attend()
    await told(outcomes, o.PromptAccepted)
    assert [r.body["prompt"] for r in api.hits("POST", "/turns")] == ["first", "second"]
    await work.stop()
