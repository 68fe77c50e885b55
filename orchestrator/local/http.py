"""Blocking JSON calls to the api, with nothing but the standard library.

Owns connecting, the bearer token and how a refused or broken call becomes a typed
error. Refuses meaning: which calls exist is known to who calls.
"""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any, Final
from urllib.parse import urlsplit

from orchestrator.domain.errors import InvalidArgument, JidoError, Unavailable
from orchestrator.wire.problems import parse_problem

MAX_ANSWER_BYTES: Final = 67_108_864
"""Bytes of one answer that are read; a longer one is refused."""


class ServerUnreachable(Unavailable):
    """Nothing answers at the server's address, or it went away meanwhile."""

    code = "server_unreachable"
    title = "Server unreachable"


class Api:
    """One server and the token for it; each call has a connection of its own."""

    def __init__(self, url: str, token: str | None) -> None:
        """Take `http://` or `https://` URL; raises InvalidArgument for anything else."""
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme not in {"http", "https"} or not parts.hostname or port == -1:
            raise InvalidArgument(
                f"“{url[:200]}” is no server. Write http://HOST:PORT or https://HOST:PORT."
            )
        self.url = url.rstrip("/")
        self.token = token
        self._secure = parts.scheme == "https"
        self._host, self._port = parts.hostname, port
        self._base = parts.path.rstrip("/")

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        timeout_s: float = 30.0,
        headers: dict[str, str] | None = None,
    ) -> Any:
        """Return the parsed answer, None when it is empty.

        Raises Problem when the server refuses, ServerUnreachable when it does not answer.
        """
        connection = self.connect(timeout_s)
        try:
            answer = self.send(connection, method, path, body, headers)
            return self.parse(answer)
        finally:
            connection.close()

    def connect(self, timeout_s: float) -> http.client.HTTPConnection:
        """Return a connection that is not open yet; `timeout_s` bounds each read."""
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        return kind(self._host, self._port, timeout=timeout_s)

    def send(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> http.client.HTTPResponse:
        """Send one request and return its answer, body unread; raises ServerUnreachable."""
        sent = {"Accept": "application/json", **(headers or {})}
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}"
        payload = None
        if body is not None:
            payload = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        try:
            connection.request(method, self._base + path, body=payload, headers=sent)
            return connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise self.unreachable(error) from error

    def parse(self, answer: http.client.HTTPResponse) -> Any:
        """Read an answer to its end and return what it says; raises Problem for a failure."""
        try:
            raw = answer.read(MAX_ANSWER_BYTES + 1)
        except (OSError, http.client.HTTPException) as error:
            raise self.unreachable(error) from error
        if len(raw) > MAX_ANSWER_BYTES:
            raise JidoError(f"{self.url} answered with more than {MAX_ANSWER_BYTES} bytes.")
        try:
            body = json.loads(raw) if raw.strip() else None
        except ValueError:
            body = raw.decode(errors="replace")
        if answer.status >= 400:
            raise parse_problem(answer.status, body)
        return body

    def unreachable(self, error: Exception) -> ServerUnreachable:
        """Return the failure of a call that got no answer, said in one line."""
        if isinstance(error, TimeoutError):
            cause = "it does not answer in time"
        elif isinstance(error, ConnectionRefusedError):
            cause = "nothing listens there"
        elif isinstance(error, socket.gaierror):
            cause = "its name is not known"
        else:
            cause = " ".join(str(error).split())[:200] or type(error).__name__
        return ServerUnreachable(
            f"No server at {self.url}: {cause}. Start one with `jido up`, or mend JIDO_URL."
        )
