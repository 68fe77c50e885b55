"""Calls that work in a session's sandbox: commands, Lua, files, changes."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import StreamingResponse

from orchestrator.api.dependencies import SessionId, UseCases
from orchestrator.api.stream import DESCRIPTION, HEADERS, OPENING
from orchestrator.domain.errors import JidoError
from orchestrator.domain.limits import MAX_SEARCH_HITS
from orchestrator.services.execution import Chunk, Output
from orchestrator.wire import sse
from orchestrator.wire.bodies import Diff, Execute, FileHit, LuaOutcome, Page, RunLua, ToolInfo
from orchestrator.wire.problems import problem

router = APIRouter(prefix="/v1/sessions/{session_id}", tags=["sandbox"])


@router.post("/exec", response_class=StreamingResponse, responses=DESCRIPTION)
async def execute(session_id: SessionId, body: Execute, services: UseCases) -> StreamingResponse:
    """Run a command; `stdout` and `stderr` carry `{data}` in base64, then `exit` `{code}`.

    Hanging up ends the command. When the sandbox fails meanwhile, the last event is `error`.
    """
    output = await services.execution.execute(session_id, body.command, body.timeout_s)
    return StreamingResponse(_frames(output), media_type="text/event-stream", headers=HEADERS)


@router.post("/lua")
async def lua(session_id: SessionId, body: RunLua, services: UseCases) -> LuaOutcome:
    """Run a Lua script or one of the project's own tools; its failure is part of the answer.

    Globals stay for the next script unless that one asks for a `reset`.
    """
    execution, seconds, reset = services.execution, body.timeout_s, body.reset
    if body.script is not None:
        return await execution.lua(session_id, body.script, seconds, reset=reset)
    name, arguments = body.tool or "", body.arguments or {}
    return await execution.call_tool(session_id, name, arguments, seconds, reset=reset)


@router.get("/tools")
async def tools(session_id: SessionId, services: UseCases) -> Page[ToolInfo]:
    """List the project's own tools, by name, those that are not trusted included."""
    return Page(items=await services.execution.tools(session_id))


@router.get("/files")
async def files(
    session_id: SessionId,
    services: UseCases,
    query: Annotated[str, Query(max_length=500)] = "",
    limit: Annotated[int, Query(ge=1, le=MAX_SEARCH_HITS)] = 50,
) -> Page[FileHit]:
    """Find files whose names match a few letters, best first."""
    return Page(items=await services.execution.files(session_id, query, limit))


@router.get("/diff")
async def diff(session_id: SessionId, services: UseCases) -> Diff:
    """Return the changes since the session began."""
    return await services.execution.diff(session_id)


async def _frames(output: AsyncGenerator[Output, None]) -> AsyncIterator[bytes]:
    yield OPENING
    number = 0
    try:
        async with aclosing(output):
            async for part in output:
                number += 1
                yield _frame(number, part)
    except JidoError as error:
        yield sse.encode(str(number + 1), "error", json.dumps(problem(error)))


def _frame(number: int, part: Output) -> bytes:
    if isinstance(part, Chunk):
        data = {"data": base64.b64encode(part.data).decode("ascii")}
        return sse.encode(str(number), part.stream, json.dumps(data))
    ending = {"code": part.code, "timed_out": part.timed_out}
    return sse.encode(str(number), "exit", json.dumps(ending))
