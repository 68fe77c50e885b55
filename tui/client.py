"""The api as the client calls it.

Owns paths, bodies and the reading of answers. A refusal becomes `Refused` with the server's
own words, an absent server `Unreachable`; nothing else is raised.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode

from tui.http import Answer, Http, Unreachable
from tui.state import fields
from tui.state.sanitise import one_line
from tui.state.workspace import Saved

Json = Mapping[str, Any]

START_TIMEOUT_S: Final = 90.0
"""Seconds for calls that start a sandbox."""
PAGE_SIZE: Final = 500
"""Messages of one page."""

__all__ = ["Api", "Refused", "Unreachable", "refusal"]


class Refused(Exception):
    """The server will not do it; `code` is stable and `detail` says what to do."""

    def __init__(self, status: int, code: str, detail: str, body: Json) -> None:
        """Keep the problem as the server put it."""
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.body = body


def refusal(status: int, body: object) -> Refused:
    """Return the failure that an answer describes, whatever its body is."""
    problem: Json = body if isinstance(body, dict) else {}
    detail = fields.raw(problem, "detail") or f"The server answered with status {status}."
    code = fields.label(problem, "code", "internal")
    return Refused(status, code, one_line(detail, 1000), problem)


class Api:
    """Calls of the api; every identifier is quoted into its path."""

    def __init__(self, http: Http) -> None:
        """Speak over `http`."""
        self.http = http

    async def sessions(self) -> list[Json]:
        """Return all live sessions, oldest first."""
        return fields.objects(await self._get("/v1/sessions"), "items")

    async def session(self, session_id: str) -> Json:
        """Return one session."""
        return await self._get(f"/v1/sessions/{quote(session_id)}")

    async def create(self, project_path: str, name: str | None = None) -> Json:
        """Open a project; its sandbox may still be starting."""
        body = {"project_path": project_path} | ({"name": name} if name else {})
        return await self._call("POST", "/v1/sessions", body, timeout_s=START_TIMEOUT_S)

    async def update(self, session_id: str, change: Json) -> Json:
        """Change name or configuration."""
        return await self._call("PATCH", f"/v1/sessions/{quote(session_id)}", change)

    async def close(self, session_id: str) -> None:
        """Save a session and end it."""
        path = f"/v1/sessions/{quote(session_id)}?save=true"
        await self._call("DELETE", path, timeout_s=START_TIMEOUT_S)

    async def save(self, session_id: str) -> None:
        """Save a session now; one in which nothing was said is not saved."""
        await self._call("POST", f"/v1/sessions/{quote(session_id)}/save")

    async def restart(self, session_id: str) -> Json:
        """Ask for a fresh sandbox."""
        return await self._call("POST", f"/v1/sessions/{quote(session_id)}/restart", {})

    async def start_turn(self, session_id: str, prompt: str, key: str) -> Json:
        """Send a prompt; the same key gives the same turn."""
        path = f"/v1/sessions/{quote(session_id)}/turns"
        return await self._call("POST", path, {"prompt": prompt}, {"Idempotency-Key": key})

    async def cancel(self, session_id: str, turn_id: str) -> None:
        """Stop a turn; also when it is already over."""
        await self._call("POST", f"{_turn(session_id, turn_id)}/cancel", {})

    async def answer(
        self, session_id: str, turn_id: str, call_id: str, decision: str, reason: str = ""
    ) -> None:
        """Answer an ask."""
        path = f"{_turn(session_id, turn_id)}/approvals/{quote(call_id, safe='')}"
        await self._call(
            "POST", path, {"decision": decision} | ({"reason": reason} if reason else {})
        )

    async def messages(self, session_id: str, before: str = "") -> tuple[list[Json], str]:
        """Return a page of messages, oldest first, and the cursor of the page before it."""
        query = {"limit": str(PAGE_SIZE)} | ({"before": before} if before else {})
        path = f"/v1/sessions/{quote(session_id)}/messages?{urlencode(query)}"
        page = await self._get(path)
        return fields.objects(page, "items"), fields.raw(page, "next")

    async def unfinished(self, session_id: str) -> list[Json]:
        """Return the running turn and those that wait behind it."""
        return fields.objects(await self._get(f"/v1/sessions/{quote(session_id)}/turns"), "items")

    async def todos(self, session_id: str) -> list[Json]:
        """Return the model's task list."""
        return fields.objects(await self._get(f"/v1/sessions/{quote(session_id)}/todos"), "items")

    async def files(self, session_id: str, query: str) -> list[str]:
        """Return names of files that match, best first, relative to the project."""
        path = f"/v1/sessions/{quote(session_id)}/files?{urlencode({'query': query})}"
        hits = fields.objects(await self._get(path), "items")
        return [name for hit in hits if (name := fields.label(hit, "path"))]

    async def diff(self, session_id: str) -> Json:
        """Return the changes since the session began."""
        return await self._get(f"/v1/sessions/{quote(session_id)}/diff")

    async def lua(self, session_id: str, script: str) -> Json:
        """Run a script in the sandbox."""
        path = f"/v1/sessions/{quote(session_id)}/lua"
        return await self._call("POST", path, {"script": script}, timeout_s=START_TIMEOUT_S)

    async def execute(self, session_id: str, command: str) -> AsyncIterator[tuple[str, str, int]]:
        """Run a command; yields (stream, text, 0) and at last ("exit", "", code)."""
        path = f"/v1/sessions/{quote(session_id)}/exec"
        body = {"command": command}
        async with self.http.stream("POST", path, body, idle_timeout_s=3700.0) as stream:
            if stream.status >= 400:
                raise refusal(stream.status, Answer(stream.status, await stream.read()).json())
            decode = RunDecoder()
            async for name, data in frames(stream.chunks()):
                if part := decode.feed(name, data):
                    yield part

    async def saved(self) -> list[Saved]:
        """Return sessions on disk, newest first."""
        items = fields.objects(await self._get("/v1/saved"), "items")
        return [_saved(item) for item in items if fields.raw(item, "id")]

    async def resume(self, saved_id: str) -> Json:
        """Open a saved session again."""
        path = f"/v1/saved/{quote(saved_id)}/resume"
        return await self._call("POST", path, {}, timeout_s=START_TIMEOUT_S)

    async def delete_saved(self, saved_id: str) -> None:
        """Delete a saved session for good."""
        await self._call("DELETE", f"/v1/saved/{quote(saved_id)}")

    async def export(self, session_id: str) -> bytes:
        """Return the portable document of a session."""
        answer = await self.http.request("GET", f"/v1/sessions/{quote(session_id)}/export")
        if answer.status >= 400:
            raise refusal(answer.status, answer.json())
        return answer.body

    async def models(self) -> Json:
        """Return the models that can be chosen."""
        return await self._get("/v1/models")

    async def _get(self, path: str) -> Json:
        return await self._call("GET", path)

    async def _call(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 30.0,
    ) -> Json:
        answer = await self.http.request(method, path, body, headers, timeout_s)
        content = answer.json() if answer.body else {}
        if answer.status >= 400:
            raise refusal(answer.status, content)
        return content if isinstance(content, dict) else {}


async def frames(chunks: AsyncIterator[bytes]) -> AsyncIterator[tuple[str, str]]:
    """Yield (event, data) of each server-sent event."""
    async for batch in frame_batches(chunks):
        for name, data in batch:
            yield name, data


async def frame_batches(
    chunks: AsyncIterator[bytes],
) -> AsyncIterator[Sequence[tuple[str, str]]]:
    """Yield the server-sent events that each arrival of bytes completed."""
    from orchestrator.wire.sse import MAX_LINE_BYTES, Decoder

    decoder, held = Decoder(), b""
    async for chunk in chunks:
        *lines, held = (held + chunk).split(b"\n")
        if len(held) > MAX_LINE_BYTES:
            raise Unreachable("The server sent an event that is too large.")
        batch = [
            (frame.event, frame.data)
            for line in lines
            for frame in decoder.feed(line.rstrip(b"\r").decode("utf-8", "replace"))
        ]
        if batch:
            yield batch


class RunDecoder:
    """Turns the frames of a running command into text, whatever a chunk cuts in two."""

    def __init__(self) -> None:
        """Start with nothing held back."""
        self._held = {"stdout": b"", "stderr": b""}

    def feed(self, name: str, data: str) -> tuple[str, str, int] | None:
        """Return (stream, text, 0), ("exit", "", code), or None for what says nothing."""
        try:
            body = json.loads(data)
        except ValueError:
            body = data
        if name == "exit":
            return "exit", "", fields.integer(body, "code", 125) if isinstance(body, dict) else 125
        if name == "error" and isinstance(body, dict):
            raise refusal(500, body)
        if name not in self._held:
            return None
        return name, self._text(name, body), 0

    def _text(self, name: str, body: object) -> str:
        encoded = body
        if isinstance(body, dict):
            encoded = next((body[k] for k in ("data", "base64", "bytes", "chunk") if k in body), "")
        try:
            data = base64.b64decode(encoded) if isinstance(encoded, str) else b""
        except (binascii.Error, ValueError):
            return ""
        data = self._held[name] + data
        cut = _incomplete_tail(data)
        self._held[name] = data[len(data) - cut :]
        return data[: len(data) - cut].decode("utf-8", "replace")


def _incomplete_tail(data: bytes) -> int:
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte >= 0xC0:
            needed = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return back if back < needed else 0
        if byte < 0x80:
            return 0
    return 0


def _turn(session_id: str, turn_id: str) -> str:
    return f"/v1/sessions/{quote(session_id)}/turns/{quote(turn_id)}"


def _saved(item: Json) -> Saved:
    return Saved(
        id=fields.raw(item, "id"),
        name=fields.label(item, "name"),
        project_path=fields.label(item, "project_path"),
        updated=fields.seconds(item, "closed_at") or fields.seconds(item, "updated_at"),
        turns=fields.integer(item, "turns"),
        error=fields.label(item, "error"),
    )
