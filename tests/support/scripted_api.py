"""A small server that speaks the wire of the api, for tests of clients.

A real HTTP/1.1 server on loopback with its own memory: sessions, messages, numbered events,
server-sent streams with resume. What a prompt does is a function the test chooses.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from orchestrator.domain.ids import new_id
from orchestrator.domain.message import Message, TextPart
from orchestrator.domain.models import SessionConfig
from orchestrator.domain.session import Session
from orchestrator.domain.turn import Turn
from orchestrator.wire.bodies import SavedSession
from orchestrator.wire.sse import encode

TOKEN = "scripted-token"
START = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)

Json = dict[str, Any]
Script = Callable[["ScriptedApi", str, Turn], Awaitable[None]]


@dataclass
class Request:
    """One request as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass
class Refusal:
    """A problem to answer with instead."""

    status: int
    code: str
    detail: str
    extra: Json = field(default_factory=dict)


async def echo(api: ScriptedApi, session_id: str, turn: Turn) -> None:
    """Answer a prompt by saying it again, word by word."""
    message_id = new_id()
    for word in f"You said: {turn.prompt}".split(" "):
        data = {"turn_id": turn.id, "message_id": message_id, "text": word + " "}
        api.emit(session_id, "text.delta", data)
    api.say(session_id, turn, f"You said: {turn.prompt} ", message_id)


class ScriptedApi:
    """The server and its memory; tests read and change it directly."""

    def __init__(self) -> None:
        """Start without sessions; new ones become ready at once."""
        self.url = ""
        self.sessions: dict[str, Session] = {}
        self.messages: dict[str, list[Message]] = {}
        self.events: dict[str, list[Json]] = {}
        self.turns: dict[str, Turn] = {}
        self.keys: dict[str, str] = {}
        self.saved: list[SavedSession] = []
        self.files: list[str] = ["README.md", "src/app.py", "src/with blank.txt"]
        self.diff: Json = {"files": [], "text": "", "truncated": False}
        self.tools: list[Json] = []
        self.requests: list[Request] = []
        self.refusals: dict[tuple[str, str], Refusal] = {}
        """By method and last part of the path; stays until taken out."""
        self.trimmed: dict[str, int] = {}
        """Events up to this number are gone."""
        self.script: Script = echo
        self.ready = True
        """False leaves new sessions starting."""
        self.answers: dict[str, asyncio.Future[str]] = {}
        self.clock = START
        self._wake = asyncio.Condition()
        self._streams: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._server: asyncio.Server | None = None

    async def start(self, port: int = 0) -> None:
        """Listen on loopback."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, limit=1 << 20)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        """Close everything at once, as a killed server would."""
        if self._server is not None:
            self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        for writer in list(self._streams):
            writer.transport.abort()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task

    def drop_streams(self) -> None:
        """Break all connections that are open."""
        for writer in list(self._streams):
            writer.transport.abort()

    def add_session(self, path: str, name: str = "", **fields: Any) -> Session:
        """Put a live session into the memory."""
        session = Session(
            id=new_id(),
            name=name or path.rsplit("/", 1)[-1],
            project_path=path,
            config=fields.pop("config", SessionConfig()),
            status=fields.pop("status", "ready"),
            runtime=fields.pop("runtime", "docker"),
            created_at=self.now(),
            updated_at=self.now(),
            **fields,
        )
        self.sessions[session.id] = session
        self.messages.setdefault(session.id, [])
        self.events.setdefault(session.id, [])
        self.emit(session.id, "session.created", {"session": session.model_dump(mode="json")})
        return self.sessions[session.id]

    def add_saved(self, path: str, name: str, turns: int = 3) -> SavedSession:
        """Put a saved session in front of the others."""
        saved = SavedSession(
            id=new_id(), name=name, project_path=path, config=SessionConfig(),
            created_at=self.now(), updated_at=self.now(), closed_at=self.now(),
            messages=turns * 2, turns=turns, usage={"input_tokens": 10, "output_tokens": 5},
            size_bytes=1000,
        )  # fmt: skip
        self.saved.insert(0, saved)
        return saved

    def now(self) -> datetime:
        """Return a time that moves by a tenth of a second per question."""
        self.clock += timedelta(milliseconds=100)
        return self.clock

    def emit(self, session_id: str, kind: str, data: Json) -> None:
        """Number an event and send it to whoever listens."""
        session = self.sessions[session_id]
        seq = session.last_seq + 1
        self.sessions[session_id] = session.model_copy(update={"last_seq": seq})
        time = self.now().isoformat()
        event = {"session_id": session_id, "seq": seq, "type": kind, "time": time, "data": data}
        self.events[session_id].append(event)
        self._later(self._notify())

    def change(self, session_id: str, kind: str, **fields: Any) -> None:
        """Change a session's record and tell of it."""
        session = self.sessions[session_id].model_copy(update=fields)
        self.sessions[session_id] = session
        self.emit(session_id, kind, {"session": session.model_dump(mode="json")})

    def turn_event(self, kind: str, turn: Turn, **fields: Any) -> Turn:
        """Change a turn and tell of it."""
        turn = turn.model_copy(update=fields)
        self.turns[turn.id] = turn
        self.emit(turn.session_id, kind, {"turn": turn.model_dump(mode="json")})
        return turn

    def say(self, session_id: str, turn: Turn, text: str, message_id: str = "") -> None:
        """Complete a message of the model."""
        self._message(
            Message(
                id=message_id or new_id(), turn_id=turn.id, role="assistant", time=self.now(),
                parts=[TextPart(text=text)],
            ),
            session_id,
        )  # fmt: skip

    def begin_turn(self, session_id: str, prompt: str) -> Turn:
        """Queue and start a turn without running the script."""
        turn = Turn(id=new_id(), session_id=session_id, prompt=prompt, created_at=self.now())
        self.turns[turn.id] = turn
        self.turn_event("turn.queued", turn)
        return self._started(turn)

    def hits(self, method: str, ending: str) -> list[Request]:
        """Return the requests of a method whose path ends so."""
        return [r for r in self.requests if r.method == method and r.path.endswith(ending)]

    def _started(self, turn: Turn) -> Turn:
        turn = self.turn_event("turn.started", turn, status="working", started_at=self.now())
        session = self.sessions[turn.session_id]
        update = {"activity": "working", "turns": session.turns + 1}
        self.sessions[turn.session_id] = session.model_copy(update=update)
        self._message(
            Message(
                id=new_id(), turn_id=turn.id, role="user", time=self.now(),
                parts=[TextPart(text=turn.prompt)],
            ),
            turn.session_id,
        )  # fmt: skip
        return turn

    def _message(self, message: Message, session_id: str) -> None:
        self.messages[session_id].append(message)
        data = {"turn_id": message.turn_id, "message": message.model_dump(mode="json")}
        self.emit(session_id, f"message.{message.role}", data)

    async def _run(self, turn: Turn) -> None:
        turn = self._started(turn)
        await self.script(self, turn.session_id, turn)
        if self.turns[turn.id].status == "working":
            self.finish(self.turns[turn.id])

    def finish(self, turn: Turn, status: str = "completed", **fields: Any) -> None:
        """End a turn."""
        update = {"activity": "idle"}
        session = self.sessions[turn.session_id].model_copy(update=update)
        self.sessions[turn.session_id] = session
        self.turn_event(f"turn.{status}", turn, status=status, finished_at=self.now(), **fields)

    def _later(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _notify(self) -> None:
        async with self._wake:
            self._wake.notify_all()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._streams.add(writer)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            request = await _read(reader)
            self.requests.append(request)
            await self._route(request, writer)
        except (OSError, EOFError, asyncio.CancelledError):
            pass
        finally:
            self._streams.discard(writer)
            self._tasks.discard(task)
            writer.close()

    async def _route(self, request: Request, writer: asyncio.StreamWriter) -> None:
        words = [unquote(w) for w in request.path.strip("/").split("/")][1:]
        refusal = self.refusals.get((request.method, words[-1]))
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            refusal = Refusal(401, "unauthorized", "The token is wrong. Check JIDO_TOKEN.")
        if words[0] == "sessions" and len(words) > 1 and words[1] not in self.sessions:
            refusal = Refusal(404, "session_not_found", "That session does not exist.")
        if refusal is not None:
            _problem(writer, refusal)
        elif words[0] == "sessions" and words[-1] == "events":
            await self._stream(request, words[1], writer)
        elif words == ["events"]:
            await self._stream_all(request, writer)
        elif words[0] == "sessions" and words[-1] == "exec":
            await self._execute(request.body, writer)
        else:
            status, body = self._answer(request, words)
            _respond(writer, status, body)
        await writer.drain()

    def _answer(self, request: Request, words: list[str]) -> tuple[int, Any]:
        match request.method, words:
            case "GET", ["sessions"]:
                return 200, _page([s.model_dump(mode="json") for s in self.sessions.values()])
            case "POST", ["sessions"]:
                return self._create(request.body)
            case "GET", ["sessions", session_id]:
                return 200, self.sessions[session_id].model_dump(mode="json")
            case "PATCH", ["sessions", session_id]:
                return self._update(session_id, request.body)
            case "DELETE", ["sessions", session_id]:
                return self._close(session_id, only_empty="only_empty" in request.query)
            case "POST", ["sessions", session_id, "turns"]:
                return self._turn(session_id, request)
            case "POST", ["sessions", session_id, "turns", turn_id, "cancel"]:
                if self.turns[turn_id].status in ("queued", "working", "awaiting_approval"):
                    self.finish(self.turns[turn_id], "cancelled")
                return 202, self.turns[turn_id].model_dump(mode="json")
            case "POST", ["sessions", session_id, "turns", turn_id, "approvals", call_id]:
                data = {"turn_id": turn_id, "call_id": call_id, **request.body}
                self.emit(session_id, "approval.answered", data)
                if call_id in self.answers:
                    self.answers[call_id].set_result(request.body["decision"])
                return 202, self.turns[turn_id].model_dump(mode="json")
            case "GET", ["sessions", session_id, "messages"]:
                return 200, self._messages(session_id, request.query)
            case _:
                return self._other(request, words)

    def _other(self, request: Request, words: list[str]) -> tuple[int, Any]:
        match request.method, words:
            case "GET", ["sessions", _, "todos"]:
                return 200, _page([])
            case "GET", ["sessions", session_id, "turns"]:
                mine = [t for t in self.turns.values() if t.session_id == session_id]
                under_way = [t for t in mine if t.status in ("queued", "working")]
                return 200, _page([t.model_dump(mode="json") for t in under_way])
            case "GET", ["sessions", _, "files"]:
                wanted = request.query.get("query", "").lower()
                names = [f for f in self.files if wanted in f.lower()]
                return 200, _page([{"path": name, "score": 1.0} for name in names])
            case "GET", ["sessions", _, "diff"]:
                return 200, self.diff
            case "GET", ["sessions", _, "tools"]:
                return 200, _page(self.tools)
            case "POST", ["sessions", _, "lua"]:
                value = {
                    "ok": True,
                    "value": 42,
                    "output": "fresh\n" if request.body.get("reset") else "hi\n",
                    "error": None,
                    "elapsed_ms": 1.5,
                }
                return 200, value
            case "POST", ["sessions", session_id, "restart"]:
                self.change(session_id, "session.restarting", status="restarting")
                return 202, self.sessions[session_id].model_dump(mode="json")
            case "POST", ["sessions", session_id, "save"]:
                saved = self.sessions[session_id].turns > 0
                detail = "Saved: in /saved.json." if saved else "There is nothing to save."
                return 200, {"saved": saved, "detail": detail}
            case _:
                return self._stored(request, words)

    def _stored(self, request: Request, words: list[str]) -> tuple[int, Any]:
        match request.method, words:
            case "GET", ["sessions", session_id, "export"]:
                return 200, {"format": "jido-session", "id": session_id}
            case "GET", ["saved"]:
                return 200, _page([s.model_dump(mode="json") for s in self.saved])
            case "POST", ["saved", saved_id, "resume"]:
                return self._resume(saved_id, request.body or {})
            case "DELETE", ["saved", saved_id]:
                self.saved = [s for s in self.saved if s.id != saved_id]
                return 204, None
            case "POST", ["import"]:
                return 201, self.add_saved("/work/imported", "imported").model_dump(mode="json")
            case "GET", ["models"]:
                items = [{"id": "offline:demo", "available": True, "reason": None}]
                return 200, {"items": items, "default": "offline:demo", "next": None}
            case _:
                return 404, {"code": "not_found", "detail": "There is no such call."}

    def _create(self, body: Json) -> tuple[int, Any]:
        for other in self.sessions.values():
            if other.project_path == body["project_path"] and other.status == "closing":
                code, detail = "project_already_open", "It is open already."
                return 409, {"code": code, "detail": detail, "session_id": other.id}
        status = "ready" if self.ready else "starting"
        session = self.add_session(body["project_path"], body.get("name") or "", status=status)
        return 201, session.model_dump(mode="json")

    def _close(self, session_id: str, *, only_empty: bool) -> tuple[int, Any]:
        if only_empty and self.sessions[session_id].turns:
            return 409, {"code": "session_not_empty", "detail": "It is in use."}
        self.change(session_id, "session.closed", status="closing")
        del self.sessions[session_id]
        return 204, None

    def _update(self, session_id: str, body: Json) -> tuple[int, Any]:
        if name := body.get("name"):
            self.change(session_id, "session.renamed", name=name)
        if config := body.get("config"):
            if "model" in config and ":" in config["model"]:
                config["provider"], _, config["model"] = config["model"].partition(":")
            merged = self.sessions[session_id].config.model_copy(update=config)
            self.change(session_id, "session.configured", config=merged)
        return 200, self.sessions[session_id].model_dump(mode="json")

    def _turn(self, session_id: str, request: Request) -> tuple[int, Any]:
        if self.sessions[session_id].status != "ready":
            return 409, {"code": "session_not_ready", "detail": "The sandbox is starting."}
        key = request.headers["idempotency-key"]
        if key not in self.keys:
            prompt = request.body["prompt"]
            turn = Turn(id=new_id(), session_id=session_id, prompt=prompt, created_at=self.now())
            self.keys[key] = turn.id
            self.turn_event("turn.queued", turn)
            if self.sessions[session_id].activity == "idle":
                self._later(self._run(turn))
        return 202, self.turns[self.keys[key]].model_dump(mode="json")

    def _messages(self, session_id: str, query: dict[str, str]) -> Json:
        messages = self.messages[session_id]
        end, limit = int(query.get("before", len(messages))), int(query.get("limit", 100))
        start = max(0, end - limit)
        page = _page([m.model_dump(mode="json") for m in messages[start:end]])
        page["next"] = str(start) if start else None
        return page

    def _resume(self, saved_id: str, body: Json) -> tuple[int, Any]:
        saved = next(s for s in self.saved if s.id == saved_id)
        open_ids = [s.id for s in self.sessions.values() if s.project_path == saved.project_path]
        for session_id in open_ids:
            if body.get("replaces") != session_id:
                return 409, {"code": "project_already_open", "detail": "It is open."}
            self.change(session_id, "session.closed", status="closing")
            del self.sessions[session_id]
        self.saved.remove(saved)
        session = self.add_session(saved.project_path, saved.name, turns=saved.turns)
        turn = Turn(id=new_id(), session_id=session.id, prompt="before", created_at=self.now())
        self.say(session.id, turn, "What was said before.")
        return 201, self.sessions[session.id].model_dump(mode="json")

    async def _stream(
        self, request: Request, session_id: str, writer: asyncio.StreamWriter
    ) -> None:
        after = int(request.headers.get("last-event-id") or request.query.get("after") or 0)
        if after < self.trimmed.get(session_id, 0):
            _problem(writer, Refusal(410, "events_trimmed", "Those events are gone."))
            return
        _head(writer, 200, "text/event-stream")
        _chunk(writer, b": stream\n\n")
        while True:
            fresh = [e for e in self.events[session_id] if e["seq"] > after]
            for event in fresh:
                after = event["seq"]
                _chunk(writer, encode(str(after), event["type"], json.dumps(event)))
            await writer.drain()
            if session_id not in self.sessions:
                writer.write(b"0\r\n\r\n")
                return
            if not fresh:
                async with self._wake:
                    await self._wake.wait()

    async def _stream_all(self, request: Request, writer: asyncio.StreamWriter) -> None:
        types = request.query.get("types", "").split(",")
        sent = {session_id: len(events) for session_id, events in self.events.items()}
        _head(writer, 200, "text/event-stream")
        _chunk(writer, b": stream\n\n")
        while True:
            stories = self.events.items()
            fresh = [event for key, story in stories for event in story[sent.get(key, 0) :]]
            sent = {key: len(story) for key, story in stories}
            for event in fresh:
                if event["type"] in types:
                    _chunk(writer, encode("1", event["type"], json.dumps(event)))
            await writer.drain()
            if not fresh:
                async with self._wake:
                    await self._wake.wait()

    async def _execute(self, body: Json, writer: asyncio.StreamWriter) -> None:
        _head(writer, 200, "text/event-stream")
        output = f"ran {body['command']}\n".encode()
        data = json.dumps({"data": base64.b64encode(output).decode()})
        _chunk(writer, encode("1", "stdout", data))
        code = 3 if "false" in body["command"] else 0
        _chunk(writer, encode("2", "exit", json.dumps({"code": code})))
        writer.write(b"0\r\n\r\n")


@asynccontextmanager
async def scripted_api() -> AsyncIterator[ScriptedApi]:
    """Serve for the length of a test."""
    api = ScriptedApi()
    await api.start()
    try:
        yield api
    finally:
        await api.stop()


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ")
    pairs = (line.partition(":") for line in head[1:] if line)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    parts = urlsplit(target)
    query = {key: values[0] for key, values in parse_qs(parts.query).items()}
    return Request(method, parts.path, query, headers, json.loads(body) if body else None)


def _page(items: list[Any]) -> Json:
    return {"items": items, "next": None}


def _head(writer: asyncio.StreamWriter, status: int, kind: str) -> None:
    lines = [f"HTTP/1.1 {status} X", f"content-type: {kind}", "transfer-encoding: chunked"]
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n")


def _chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")


def _respond(writer: asyncio.StreamWriter, status: int, body: Any) -> None:
    data = b"" if body is None else json.dumps(body).encode()
    head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n"
    writer.write(f"{head}content-length: {len(data)}\r\n\r\n".encode() + data)


def _problem(writer: asyncio.StreamWriter, refusal: Refusal) -> None:
    body = {
        **refusal.extra,
        "type": f"urn:jido:problem:{refusal.code}",
        "title": refusal.code,
        "status": refusal.status,
        "code": refusal.code,
        "detail": refusal.detail,
    }
    _respond(writer, refusal.status, body)
