"""The gate every request passes: Host, body size, token, log line, last resort.

Owns what is true of all calls alike. Refuses to know any route. It is plain ASGI,
so that streams pass through it untouched.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Iterable
from typing import Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator.api import metrics, problems
from orchestrator.domain.errors import BodyTooLarge, Forbidden, JidoError, Unauthorized
from orchestrator.domain.limits import MAX_BODY_BYTES, MAX_IMPORT_BYTES

_log = structlog.get_logger(__name__)

OPEN_PATHS: Final = frozenset({"/healthz", "/readyz"})
"""Served without a token."""
IMPORT_PATH: Final = "/v1/import"


class ClientGone(Exception):
    """The client hung up before its request was complete."""


class Gate:
    """Wraps the application; every request is judged here first."""

    def __init__(self, app: ASGIApp, token: str, hosts: Iterable[str]) -> None:
        """Admit requests that carry `token` and name one of `hosts`, any port."""
        self._app = app
        self._token = token.encode()
        self._hosts = frozenset(host.strip().lower() for host in hosts if host.strip())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Judge, pass on, log."""
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        record = _Record(scope, send)
        try:
            self._admit(scope)
            body = await _body(scope, receive)
            await self._app(scope, _replay(body, receive), record.send)
        except ClientGone:
            record.status = 499
        except JidoError as error:
            await _answer(record, problems.response(error), scope, receive)
        except Exception as error:  # noqa: BLE001 - the last resort: a client never sees a traceback
            failure = problems.unexpected(error, scope["method"], scope["path"])
            await _answer(record, failure, scope, receive)
        finally:
            record.finish()

    def _admit(self, scope: Scope) -> None:
        headers = dict(scope["headers"])
        if _host(headers.get(b"host", b"")) not in self._hosts:
            raise Forbidden(
                "This server does not serve the Host named in the request. "
                "Add it to JIDO_ALLOWED_HOSTS to allow it."
            )
        if scope["path"] in OPEN_PATHS:
            return
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        matches = hmac.compare_digest(token.strip(), self._token)
        if scheme.lower() != b"bearer" or not matches or not self._token:
            raise Unauthorized(
                "The bearer token is missing or wrong. It is in the file “token” of JIDO_HOME; "
                "set JIDO_TOKEN to it."
            )


class _Record:
    """One request's line in the log and its place in the metrics."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._send = send
        self._started = time.perf_counter()
        self.status = 0
        self.has_started = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.has_started = True
        await self._send(message)

    def finish(self) -> None:
        elapsed = time.perf_counter() - self._started
        route = getattr(self._scope.get("route"), "path", "unknown")
        metrics.observe(self._scope["method"], route, self.status, elapsed)
        _log.debug(
            "request",
            method=self._scope["method"],
            path=self._scope["path"],
            status=self.status,
            elapsed_ms=round(elapsed * 1000, 1),
        )


def _host(value: bytes) -> str:
    """Return a Host header's name in lower case, without its port."""
    text = value.decode("latin-1").strip().lower()
    if text.startswith("["):
        return text.partition("]")[0] + "]"
    return text.partition(":")[0]


async def _body(scope: Scope, receive: Receive) -> bytes:
    """Read a request's body whole, within the limit of its call."""
    limit = MAX_IMPORT_BYTES if scope["path"] == IMPORT_PATH else MAX_BODY_BYTES
    declared = dict(scope["headers"]).get(b"content-length", b"0")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    chunks: list[bytes] = []
    total = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk = message.get("body", b"")
        total += len(chunk)
        if total > limit:
            raise _too_large(limit)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(
        f"The request's body exceeds {limit:,} bytes. Send less; put long material into a file "
        "of the project.",
        maximum_bytes=limit,
    )


def _replay(body: bytes, receive: Receive) -> Receive:
    delivered = False

    async def again() -> Message:
        nonlocal delivered
        if delivered:
            return await receive()
        delivered = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


async def _answer(record: _Record, answer: ASGIApp, scope: Scope, receive: Receive) -> None:
    """Send `answer`, unless another one is already under way: then only the log tells."""
    if not record.has_started:
        await answer(scope, receive, record.send)
