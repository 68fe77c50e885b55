"""The three ways to do a thing with sessions: client command, `jido session …`, HTTP.

Each takes the same step and returns the words of a refusal, empty when there was none.
"""

from __future__ import annotations

import asyncio
import json
import shlex
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx

from tests.support.command_line import CommandLine
from tui.client import Api
from tui.commands.desk import Desk
from tui.commands.dispatch import dispatch
from tui.http import Http
from tui.state.items import Note, Notice
from tui.state.outcomes import Focused, QuestionClosed, SessionsListed
from tui.state.reduce import reduce
from tui.state.workspace import Workspace


@dataclass(frozen=True)
class Step:
    """One thing to do, as each way writes it; `{…}` are filled in."""

    client: str
    """A line of the client's prompt; about the session on screen where it names none."""
    command: str
    """What stands behind `jido session`, quoted as in a shell."""
    http: str
    """Method and address, separated by a blank."""
    body: Any = None
    """Body of the request; a path is the file that holds it."""


class Way(Protocol):
    """One of the three."""

    async def take(self, step: Step, places: dict[str, str]) -> str:
        """Take the step; return the words of its refusal, empty when there was none."""
        ...


def filled(value: Any, places: dict[str, str]) -> Any:
    """Return `value` with its placeholders filled in."""
    if isinstance(value, str):
        return value.format(**places)
    if isinstance(value, dict):
        return {key: filled(each, places) for key, each in value.items()}
    return value


class ByHttp:
    """Calls of the api."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def take(self, step: Step, places: dict[str, str]) -> str:
        """Call and return the problem's detail."""
        method, address = filled(step.http, places).split(" ")
        body = filled(step.body, places)
        if isinstance(body, str):
            body = json.loads(Path(body).read_text())
        answer = await self._client.request(method, address, json=body)
        if address.endswith("/export") and answer.is_success:
            Path(places["file"]).write_bytes(answer.content)
        return str(answer.json()["detail"]) if answer.is_error else ""


class ByCommand:
    """`jido session …`, in a pipe."""

    def __init__(self, jido: CommandLine) -> None:
        self._jido = jido

    async def take(self, step: Step, places: dict[str, str]) -> str:
        """Run the command and return its line on standard error."""
        words = [filled(word, places) for word in shlex.split(step.command)]
        done = await asyncio.to_thread(self._jido.run, "session", *words, "--json")
        errors = done.stderr.decode()
        assert "Traceback" not in errors
        if done.returncode == 0:
            assert json.loads(done.stdout), "--json prints what came of it"
            return ""
        assert done.stdout == b""
        return errors.strip().removeprefix("jido: ")


class ByClient:
    """Commands of the client, against the same server."""

    def __init__(self, url: str, token: str) -> None:
        self.workspace = Workspace(project_path="/nowhere", home="/nobody")
        self._desk = Desk(
            api=Api(Http(url, token)),
            workspace=self.workspace,
            tell=lambda outcome: reduce(self.workspace, outcome),
            now=time.time,
            leave=lambda: None,
            choose_theme=lambda _name: None,
            theme=lambda: "dark",
        )

    async def take(self, step: Step, places: dict[str, str]) -> str:
        """Type the line on the session's tab, say yes when asked, return what went wrong."""
        reduce(self.workspace, SessionsListed(await self._desk.api.sessions()))
        reduce(self.workspace, Focused(places["id"]))
        before = {id(item) for item in self._items()}
        await dispatch(self._desk, filled(step.client, places))
        if (question := self.workspace.question) is not None:
            reduce(self.workspace, QuestionClosed())
            await dispatch(self._desk, question.command)
        fresh = [item for item in self._items() if id(item) not in before]
        return "".join(i.text for i in fresh if isinstance(i, Notice) and i.level == "error")

    def said(self) -> str:
        """Return everything told on the tab on screen."""
        return "\n".join(i.text for i in self._items() if isinstance(i, Note | Notice))

    def _items(self) -> list[Any]:
        active = self.workspace.active
        return [*(active.transcript.items if active else ()), *self.workspace.lobby.items]
