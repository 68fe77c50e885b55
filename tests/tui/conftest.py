"""A scripted server and the client against it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from textual.pilot import Pilot

from tests.support.scripted_api import TOKEN, ScriptedApi, scripted_api
from tui.app import JidoApp
from tui.found import Found
from tui.widgets.prompt import Prompt
from tui.widgets.transcript_view import TranscriptView

PROJECT = "/work/parser"


class Client:
    """The running client as a test sees it."""

    def __init__(self, app: JidoApp, pilot: Pilot[int]) -> None:
        self.app = app
        self.pilot = pilot

    @property
    def prompt(self) -> Prompt:
        return self.app.screen.query_one(Prompt)

    @property
    def view(self) -> TranscriptView:
        return next(v for v in self.app.screen.query(TranscriptView) if v.display)

    async def live(self, session_id: str) -> None:
        """Wait until a session's events are followed."""
        sessions = self.app.workspace.sessions
        await self.until(lambda: session_id in sessions and sessions[session_id].link == "live")

    def screen_text(self) -> str:
        """Return what stands on the screen, row by row."""
        width, height = self.app.size
        rows = self.app.screen._compositor.render_strips(self.app.size)
        return "\n".join(strip.text[:width].rstrip() for strip in rows[:height])

    async def until(self, condition: Callable[[], object], seconds: float = 8.0) -> None:
        """Wait until something is true."""
        async with asyncio.timeout(seconds):
            while not condition():
                await self.pilot.pause(0.02)

    async def sees(self, *texts: str) -> None:
        """Wait until all texts stand on the screen."""
        try:
            await self.until(lambda: all(text in self.screen_text() for text in texts))
        except TimeoutError:
            missing = [text for text in texts if text not in self.screen_text()]
            pytest.fail(f"never shown: {missing}\n{self.screen_text()}")

    async def loses(self, text: str) -> None:
        """Wait until a text is gone from the screen."""
        await self.until(lambda: text not in self.screen_text())

    async def type(self, text: str, *, enter: bool = True) -> None:
        """Type a text as keys, then Enter."""
        names = {" ": "space", "/": "slash", "@": "at", "!": "exclamation_mark", ".": "full_stop",
                 "-": "minus", ":": "colon", "_": "underscore", "'": "apostrophe",
                 '"': "quotation_mark", "=": "equals_sign", "(": "left_parenthesis",
                 ")": "right_parenthesis"}  # fmt: skip
        await self.pilot.press(*(names.get(c, c) for c in text), *(["enter"] if enter else []))


OpenClient = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
async def api() -> AsyncIterator[ScriptedApi]:
    async with scripted_api() as server:
        yield server


@pytest.fixture
def open_client(api: ScriptedApi) -> OpenClient:
    @asynccontextmanager
    async def open_one(
        path: str | None = PROJECT, size: tuple[int, int] = (100, 30), token: str = TOKEN
    ) -> AsyncIterator[Client]:
        app = JidoApp(lambda: Found(api.url, token), path)
        async with app.run_test(size=size) as pilot:
            yield Client(app, pilot)

    return open_one
