"""Questions from one process to another, answered once: the api asks the supervisor.

Owns the bounds: a caller waits so long and no longer, a server works on so many
at once, and nobody's queue grows. An error crosses as its code and is looked up
in the error tree, never as a class that the other side names.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Final

import structlog
from pydantic import BaseModel, Field, JsonValue, ValidationError

from orchestrator.domain.errors import JidoError, StoreUnavailable, SupervisorUnavailable
from orchestrator.domain.ids import new_id
from orchestrator.store import keys
from orchestrator.store.codec import decode_object, encode
from orchestrator.store.connection import Connection

Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]

MAX_WAITING: Final = 200
"""Requests that may wait; the oldest are dropped, their callers time out."""
MAX_AT_ONCE: Final = 16
"""Requests that one server works on at a time."""
_POLL_S: Final = 5
"""Seconds after which a server that got nothing asks again."""
_RETRY_S: Final = 0.5
"""Seconds to wait before asking a server again that does not answer."""
_GRACE_S: Final = 1.0
"""Seconds for which a caller waits beyond its own limit for the server to say so."""

_log = structlog.get_logger(__name__)


class Request(BaseModel):
    """One question under way."""

    id: str
    kind: str
    payload: dict[str, Any]
    expires: float
    """Seconds of the epoch after which nobody waits for the answer."""


class Failure(BaseModel):
    """An error as it crosses."""

    code: str
    detail: str
    extra: dict[str, JsonValue] = Field(default_factory=dict)


class Requests:
    """Question and answer between processes."""

    def __init__(self, connection: Connection) -> None:
        """Ask and answer over `connection`."""
        self._connection = connection

    async def call(self, kind: str, payload: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        """Ask for `kind` and return the answer.

        Raises SupervisorUnavailable after `timeout_s` seconds, or the error that the handler
        raised.
        """
        request = Request(id=new_id(), kind=kind, payload=payload, expires=time.time() + timeout_s)
        text = encode(request)
        await self._connection.ask_together(
            [("LPUSH", keys.REQUESTS, text), ("LTRIM", keys.REQUESTS, 0, MAX_WAITING - 1)]
        )
        reply = await self._connection.ask_blocking(
            "BLPOP", keys.reply(request.id), timeout_s, timeout_s=timeout_s + _GRACE_S
        )
        if reply is None:
            await self._connection.ask("LREM", keys.REQUESTS, 0, text)
            raise SupervisorUnavailable(
                f"The supervisor did not answer within {timeout_s:g} seconds. "
                "Check that it runs; `jido doctor` says more."
            )
        return _result(decode_object(reply[1]))

    async def serve(self, handlers: Mapping[str, Handler]) -> None:
        """Answer requests with `handlers` by kind, MAX_AT_ONCE at a time, until cancelled."""
        places = asyncio.Semaphore(MAX_AT_ONCE)
        async with asyncio.TaskGroup() as tasks:
            while True:
                await places.acquire()
                request = await self._next()
                task = tasks.create_task(self._answer(request, handlers))
                task.add_done_callback(lambda _: places.release())

    async def _next(self) -> Request:
        while True:
            try:
                item = await self._connection.ask_blocking(
                    "BRPOP", keys.REQUESTS, _POLL_S, timeout_s=_POLL_S + _GRACE_S
                )
            except StoreUnavailable:
                await asyncio.sleep(_RETRY_S)
                continue
            request = _parse(item[1]) if item else None
            if request is not None and request.expires > time.time():
                return request

    async def _answer(self, request: Request, handlers: Mapping[str, Handler]) -> None:
        reply = await _handle(request, handlers)
        lifetime_ms = max(1, int((request.expires - time.time() + _GRACE_S) * 1000))
        name = keys.reply(request.id)
        try:
            await self._connection.ask_together(
                [("RPUSH", name, encode(reply)), ("PEXPIRE", name, lifetime_ms)]
            )
        except StoreUnavailable:
            _log.warning("reply_lost", kind=request.kind)


async def _handle(request: Request, handlers: Mapping[str, Handler]) -> dict[str, Any]:
    handler = handlers.get(request.kind)
    if handler is None:
        return _failed(JidoError(f"The supervisor does not know the request {request.kind}."))
    try:
        return {"result": await handler(request.payload)}
    except JidoError as error:
        return _failed(error)
    except Exception:  # noqa: BLE001 - one broken handler must not stop the others; it is logged
        _log.exception("request_failed", kind=request.kind)
        return _failed(JidoError("The supervisor failed. Its log says why."))


def _failed(error: JidoError) -> dict[str, Any]:
    failure = Failure(code=error.code, detail=error.detail, extra=error.extra)
    return {"error": failure.model_dump(mode="json")}


def _result(reply: dict[str, Any]) -> dict[str, Any]:
    if "error" not in reply:
        result: dict[str, Any] = reply["result"]
        return result
    failure = Failure.model_validate(reply["error"])
    raise error_class(failure.code)(failure.detail, **failure.extra)


def error_class(code: str) -> type[JidoError]:
    """Return the class of the error tree with this code; JidoError for any other code."""
    return next((kind for kind in _tree(JidoError) if kind.code == code), JidoError)


def _tree(root: type[JidoError]) -> Iterator[type[JidoError]]:
    yield root
    for branch in root.__subclasses__():
        yield from _tree(branch)


def _parse(text: str) -> Request | None:
    try:
        return Request.model_validate_json(text)
    except ValidationError:
        _log.warning("request_unreadable")
        return None
