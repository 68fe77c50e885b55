"""What runs beside the screen: calls to the server and what follows from their answers.

Owns every task of the client. Refuses to change state: it tells outcomes, and a handler
reduces them.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import Callable, Coroutine
from typing import Any, Final

from tui.client import Api, Json, Refused, Unreachable
from tui.feed import PAUSES_S, Feed
from tui.lobby import FINAL, Lobby
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

_STOPPED_S: Final = 2.0
"""Seconds that leaving waits for tasks under way."""

_CLOSING_S: Final = 20.0
"""Seconds that starting waits for a session of the same directory to be closed."""

_TIDY_S: Final = 3.0
"""Seconds that leaving waits for the session that nobody used to close."""


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
        self._unasked = ""
        """The session opened because the client was started here; empty when there was one."""

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
                break
            await asyncio.sleep(PAUSES_S[min(attempt, len(PAUSES_S) - 1)])
            attempt += 1
        await Lobby(self.api, self._tell).run()

    async def tidy(self) -> str:
        """Close the session opened unasked if nothing was said in it, and return its identifier.

        Empty when there is none to close. The server decides whether something was said.
        """
        session = self._workspace.sessions.get(self._unasked)
        if session is None or not session.empty:
            return ""
        with contextlib.suppress(Unreachable, Refused, TimeoutError):
            async with asyncio.timeout(_TIDY_S):
                await self.api.close_unused(session.id)
                return session.id
        return ""

    async def _open_all(self, project_path: str) -> None:
        records = await self.api.sessions()
        self._tell(SessionsListed(records))
        alive = [r for r in records if fields.raw(r, "status") != "closing"]
        mine = [r for r in alive if fields.raw(r, "project_path") == project_path]
        record = mine[0] if mine else await self._open(project_path) if project_path else None
        if record is None and records and not project_path:
            record = records[0]
        if record is not None:
            self._tell(SessionOpened(record))
        # Only now, so that nobody is told that nothing is open while it is being opened.
        self._tell(ServerChanged("ready"))
        # The server knows the project by its real path, the person perhaps by a link to it.
        here = fields.raw(record, "project_path") if record is not None else project_path
        if here and (record is None or not fields.integer(record, "turns")):
            with contextlib.suppress(Unreachable, Refused):
                self._tell(SavedListed(await self.api.saved(), offer=here))

    async def open_here(self) -> None:
        """Open the directory the client was started in, for a prompt that has no session."""
        try:
            record = await self._open(self._workspace.project_path)
        except Unreachable as fault:
            self._tell(Told("", "error", str(fault)))
        else:
            if record is not None:
                self._tell(SessionOpened(record))

    async def _open(self, project_path: str) -> Json | None:
        """Return the project's session, a new one if need be; None when it is refused."""
        deadline = time.monotonic() + _CLOSING_S
        while True:
            try:
                record = await self.api.create(project_path)
            except Refused as refused:
                record = await self._open_already(refused)
                if fields.raw(record, "status") == "closing" and time.monotonic() < deadline:
                    # It holds the project for a moment more; then there can be a new one.
                    await asyncio.sleep(PAUSES_S[0])
                    continue
                if record:
                    return record
                self._tell(Told("", "error", refused.detail))
                return None
            self._unasked = fields.raw(record, "id")
            return record

    async def _open_already(self, refused: Refused) -> Json:
        """Return the session that has the project already; empty when that is not the reason."""
        other = fields.raw(refused.body, "session_id")
        # An overlap names the session of another directory, not of the one meant.
        here = other and not fields.raw(refused.body, "overlaps")
        if refused.code != "project_already_open" or not here:
            return {}
        try:
            return await self.api.session(other)
        except Refused:
            return {"status": "closing"}

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
