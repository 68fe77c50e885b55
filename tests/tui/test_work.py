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


class Told:
    """The outcomes told so far."""

    def __init__(self) -> None:
        self.all: list[o.Outcome] = []
        self._told = asyncio.Event()

    def __call__(self, outcome: o.Outcome) -> None:
        self.all.append(outcome)
        self._told.set()

    async def next(self, kind: type) -> o.Outcome:
        """Wait for an outcome of a kind, and take it out."""
        async with asyncio.timeout(10):
            while True:
                for outcome in self.all:
                    if isinstance(outcome, kind):
                        self.all.remove(outcome)
                        return outcome
                self._told.clear()
                await self._told.wait()


async def test_a_prompt_is_sent_once_and_the_next_one_follows_it(api: ScriptedApi) -> None:
    """Also when events arrive between a prompt's answer and the reducing of that answer."""
    record = api.add_session("/work/parser")
    workspace, told = Workspace(), Told()
    work = Work(Api(Http(api.url, TOKEN)), workspace, told)
    reduce(workspace, o.SessionOpened(record.model_dump(mode="json")))
    reduce(workspace, o.PromptTyped(record.id, "key-1", "first"))
    work.attend()
    accepted = await told.next(o.PromptAccepted)
    work.attend()
    reduce(workspace, accepted)
    work.attend()
    await asyncio.sleep(0.05)
    assert len(api.hits("POST", "/turns")) == 1
    reduce(workspace, o.PromptTyped(record.id, "key-2", "second"))
    work.attend()
    await told.next(o.PromptAccepted)
    assert [r.body["prompt"] for r in api.hits("POST", "/turns")] == ["first", "second"]
    await work.stop()
