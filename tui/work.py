"""What runs beside the screen: calls to the server and what follows from their answers.

Owns every task of the client. Refuses to change state: it tells outcomes, and a handler
reduces them.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Callable, Coroutine
from typing import Any, Final

from tui.client import Api, Refused, Unreachable
from tui.feed import PAUSES_S, Feed
from tui.state import fields
from tui.state.outcomes import (
    AnswerFailed,
    Answering,
    Cancelling,
    Outcome,
    PromptAccepted,
    PromptRefused,
    SavedListed,
    ServerChanged,
    SessionOpened,
    SessionsListed,
    Told,
)
from tui.state.session import Ask, SessionState, Waiting
from tui.state.workspace import Workspace

FINAL = frozenset({401, 403})
"""Statuses that no repetition changes."""


_STOPPED_S: Final = 2.0
"""Seconds that leaving waits for tasks under way."""


class Work:
    """Tasks of one client; all end with `stop`."""

    def __init__(self, api: Api, workspace: Workspace, tell: Callable[[Outcome], None]) -> None:
        """Read `workspace`, tell outcomes to `tell`."""
        self.api = api
        self._workspace = workspace
        self._tell = tell
        self._feeds: dict[str, asyncio.Task[None]] = {}
        self._sending: dict[str, str] = {}
        """By session, the key of the prompt last begun; a key is begun once."""
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run something beside the screen."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def stop(self) -> None:
        """End all tasks."""
        tasks = [*self._feeds.values(), *self._tasks]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_STOPPED_S)

    def attend(self) -> None:
        """Follow every open session, let go of closed ones, send what waits."""
        open_ids = set(self._workspace.sessions)
        for gone in set(self._feeds) - open_ids:
            self._feeds.pop(gone).cancel()
            self._sending.pop(gone, None)
        for session_id in open_ids - set(self._feeds):
            feed = Feed(self.api, session_id, self._tell)
            task = asyncio.get_running_loop().create_task(feed.run())
            task.add_done_callback(self._ended)
            self._feeds[session_id] = task
        for session in self._workspace.sessions.values():
            # A prompt stays in the outbox until its outcome is reduced, which is later than its
            # answer; so its key decides whether it was begun, not whether a task still runs.
            first = session.outbox[0] if session.outbox and session.status == "ready" else None
            if first is not None and self._sending.get(session.id) != first.key:
                self._sending[session.id] = first.key
                self.begin(self._send(session.id, first))

    async def start(self, project_path: str) -> None:
        """Find the live sessions and the one of this project, waiting for the server."""
        attempt = 0
        while True:
            try:
                await self._open_all(project_path)
            except Unreachable as fault:
                self._tell(ServerChanged("waiting", str(fault)))
            except Refused as refused:
                self._tell(ServerChanged("waiting", refused.detail))
                if refused.status in FINAL:
                    return
            else:
                return
            await asyncio.sleep(PAUSES_S[min(attempt, len(PAUSES_S) - 1)])
            attempt += 1

    async def _open_all(self, project_path: str) -> None:
        records = await self.api.sessions()
        self._tell(ServerChanged("ready"))
        self._tell(SessionsListed(records))
        mine = [r for r in records if fields.raw(r, "project_path") == project_path]
        if mine:
            self._tell(SessionOpened(mine[0]))
        elif project_path:
            await self._open(project_path)
        elif records:
            self._tell(SessionOpened(records[0]))
        if not mine:
            with contextlib.suppress(Unreachable, Refused):
                self._tell(SavedListed(await self.api.saved(), offer=True))

    async def _open(self, project_path: str) -> None:
        try:
            self._tell(SessionOpened(await self.api.create(project_path)))
        except Refused as refused:
            other = fields.raw(refused.body, "session_id")
            # An overlap names the session of another directory, not of the one meant.
            here = other and not fields.raw(refused.body, "overlaps")
            if refused.code == "project_already_open" and here:
                self._tell(SessionOpened(await self.api.session(other)))
                return
            text = refused.detail
            names = [fields.label(s, "name") for s in fields.objects(refused.body, "sessions")]
            if names:
                text += " Running: " + ", ".join(names) + "."
            self._tell(Told("", "error", text))

    async def _send(self, session_id: str, waiting: Waiting) -> None:
        """Send one prompt until it has an outcome; that has the next one sent."""
        attempt = 0
        while session_id in self._workspace.sessions:
            try:
                turn = await self.api.start_turn(session_id, waiting.text, waiting.key)
                self._tell(PromptAccepted(session_id, waiting.key, turn))
                return
            except Refused as refused:
                if refused.code != "session_not_ready" and refused.status < 500:
                    self._tell(PromptRefused(session_id, waiting.key, refused.detail))
                    return
            except Unreachable:
                pass
            await asyncio.sleep(PAUSES_S[min(attempt, len(PAUSES_S) - 1)])
            attempt += 1

    async def cancel(self, session: SessionState) -> None:
        """Stop the turn under way."""
        turn_id = session.turn_id or (session.asks[0].turn_id if session.asks else "")
        turn_id = turn_id or (session.queue[0].turn_id if session.queue else "")
        if not turn_id:
            return
        self._tell(Cancelling(session.id))
        try:
            await self.api.cancel(session.id, turn_id)
        except Unreachable as fault:
            self._tell(Told(session.id, "error", f"Not stopped: {fault}"))
        except Refused as refused:
            self._tell(Told(session.id, "error", f"Not stopped: {refused.detail}"))

    async def answer(self, session: SessionState, ask: Ask, decision: str) -> None:
        """Answer an ask."""
        self._tell(Answering(session.id, ask.call_id))
        try:
            await self.api.answer(session.id, ask.turn_id, ask.call_id, decision)
        except Unreachable as fault:
            self._tell(AnswerFailed(session.id, ask.call_id, str(fault)))
        except Refused as refused:
            over = refused.status in (404, 409)
            self._tell(AnswerFailed(session.id, ask.call_id, refused.detail, over=over))

    async def files(self, session_id: str, query: str) -> list[str]:
        """Return names of files that match; none when they cannot be had now."""
        try:
            return await self.api.files(session_id, query)
        except (Unreachable, Refused):
            return []

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (fault := task.exception()) is not None:
            raise fault


def new_key() -> str:
    """Return a fresh idempotency key."""
    return uuid.uuid4().hex
