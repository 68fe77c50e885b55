"""The api as the client calls it.

Owns paths, bodies and the reading of answers. A refusal becomes `Refused` with the server's
own words, an absent server `Unreachable`; nothing else is raised.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

from tui.frames import RunDecoder, frames
from tui.http import Answer, Http, Unreachable
from tui.refusals import Refused, refusal
from tui.state import fields
from tui.state.workspace import Saved

Json = Mapping[str, Any]

START_TIMEOUT_S: Final = 90.0
"""Seconds for calls that start a sandbox."""
PAGE_SIZE: Final = 500
"""Messages of one page."""

__all__ = ["Api", "Refused", "Unreachable", "refusal"]


class Calls:
    """One call and its answer."""

    def __init__(self, http: Http) -> None:
        """Speak over `http`."""
        self.http = http

    async def get(self, path: str) -> Json:
        """Return the object that a path answers with."""
        return await self.call("GET", path)

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 30.0,
    ) -> Json:
        """Return the object of an answer; raises Refused or Unreachable."""
        answer = await self.http.request(method, path, body, headers, timeout_s)
        content = answer.json() if answer.body else {}
        if answer.status >= 400:
            raise refusal(answer.status, content)
        return content if isinstance(content, dict) else {}


class SandboxCalls(Calls):
    """What works in a session's sandbox."""

    async def files(self, session_id: str, query: str) -> list[str]:
        """Return names of files that match, best first, relative to the project."""
        path = f"/v1/sessions/{quote(session_id)}/files?{urlencode({'query': query})}"
        hits = fields.objects(await self.get(path), "items")
        return [name for hit in hits if (name := fields.label(hit, "path"))]

    async def diff(self, session_id: str) -> Json:
        """Return the changes since the session began."""
        return await self.get(f"/v1/sessions/{quote(session_id)}/diff")

    async def lua(self, session_id: str, script: str, *, reset: bool = False) -> Json:
        """Run a script in the sandbox, with `reset` in a fresh interpreter."""
        path = f"/v1/sessions/{quote(session_id)}/lua"
        return await self.call(
            "POST", path, {"script": script, "reset": reset}, timeout_s=START_TIMEOUT_S
        )

    async def tools(self, session_id: str) -> list[Json]:
        """Return the project's own tools, those that are not trusted included."""
        return fields.objects(await self.get(f"/v1/sessions/{quote(session_id)}/tools"), "items")

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


class SavedCalls(Calls):
    """Sessions on disk."""

    async def saved(self) -> list[Saved]:
        """Return sessions on disk, newest first."""
        items = fields.objects(await self.get("/v1/saved"), "items")
        return [_saved(item) for item in items if fields.raw(item, "id")]

    async def resume(self, saved_id: str, replaces: str = "", project_path: str = "") -> Json:
        """Open a saved session again, in the place of an empty one if one is named."""
        path = f"/v1/saved/{quote(saved_id)}/resume"
        named = {"replaces": replaces, "project_path": project_path}
        body = {key: value for key, value in named.items() if value}
        return await self.call("POST", path, body, timeout_s=START_TIMEOUT_S)

    async def take_in(self, document: object, project_path: str = "") -> Json:
        """Save a portable document as a session to be resumed, at `project_path` if given."""
        query = f"?{urlencode({'project_path': project_path})}" if project_path else ""
        return await self.call("POST", f"/v1/import{query}", document, timeout_s=START_TIMEOUT_S)

    async def delete_saved(self, saved_id: str) -> None:
        """Delete a saved session for good."""
        await self.call("DELETE", f"/v1/saved/{quote(saved_id)}")

    async def export(self, session_id: str, *, redacts: bool = False) -> bytes:
        """Return the portable document of a session."""
        path = f"/v1/sessions/{quote(session_id)}/export" + ("?redact=true" if redacts else "")
        answer = await self.http.request("GET", path)
        if answer.status >= 400:
            raise refusal(answer.status, answer.json())
        return answer.body


class Api(SandboxCalls, SavedCalls):
    """All calls; every identifier is quoted into its path."""

    async def sessions(self) -> list[Json]:
        """Return all live sessions, oldest first."""
        return fields.objects(await self.get("/v1/sessions"), "items")

    async def session(self, session_id: str) -> Json:
        """Return one session."""
        return await self.get(f"/v1/sessions/{quote(session_id)}")

    async def create(self, project_path: str, name: str | None = None) -> Json:
        """Open a project; its sandbox may still be starting."""
        body = {"project_path": project_path} | ({} if name is None else {"name": name})
        return await self.call("POST", "/v1/sessions", body, timeout_s=START_TIMEOUT_S)

    async def update(self, session_id: str, change: Json) -> Json:
        """Change name or configuration."""
        return await self.call("PATCH", f"/v1/sessions/{quote(session_id)}", change)

    async def close(self, session_id: str) -> None:
        """Save a session and end it."""
        path = f"/v1/sessions/{quote(session_id)}?save=true"
        await self.call("DELETE", path, timeout_s=START_TIMEOUT_S)

    async def close_unused(self, session_id: str) -> None:
        """End a session if nothing was said in it; refused otherwise."""
        path = f"/v1/sessions/{quote(session_id)}?save=false&only_empty=true"
        await self.call("DELETE", path)

    async def save(self, session_id: str) -> Json:
        """Save a session now and return what came of it; an empty one is not saved."""
        return await self.call("POST", f"/v1/sessions/{quote(session_id)}/save")

    async def restart(self, session_id: str) -> Json:
        """Ask for a fresh sandbox."""
        return await self.call("POST", f"/v1/sessions/{quote(session_id)}/restart", {})

    async def start_turn(self, session_id: str, prompt: str, key: str) -> Json:
        """Send a prompt; the same key gives the same turn."""
        path = f"/v1/sessions/{quote(session_id)}/turns"
        return await self.call("POST", path, {"prompt": prompt}, {"Idempotency-Key": key})

    async def cancel(self, session_id: str, turn_id: str) -> None:
        """Stop a turn; also when it is already over."""
        await self.call("POST", f"{_turn(session_id, turn_id)}/cancel", {})

    async def answer(
        self, session_id: str, turn_id: str, call_id: str, decision: str, reason: str = ""
    ) -> None:
        """Answer an ask."""
        path = f"{_turn(session_id, turn_id)}/approvals/{quote(call_id, safe='')}"
        await self.call(
            "POST", path, {"decision": decision} | ({"reason": reason} if reason else {})
        )

    async def messages(
        self, session_id: str, before: str = "", limit: int = PAGE_SIZE
    ) -> tuple[list[Json], str]:
        """Return a page of messages, oldest first, and the cursor of the page before it."""
        query = {"limit": str(limit)} | ({"before": before} if before else {})
        path = f"/v1/sessions/{quote(session_id)}/messages?{urlencode(query)}"
        page = await self.get(path)
        return fields.objects(page, "items"), fields.raw(page, "next")

    async def unfinished(self, session_id: str) -> list[Json]:
        """Return the running turn and those that wait behind it."""
        return fields.objects(await self.get(f"/v1/sessions/{quote(session_id)}/turns"), "items")

    async def todos(self, session_id: str) -> list[Json]:
        """Return the model's task list."""
        return fields.objects(await self.get(f"/v1/sessions/{quote(session_id)}/todos"), "items")

    async def models(self) -> Json:
        """Return the models that can be chosen."""
        return await self.get("/v1/models")


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
