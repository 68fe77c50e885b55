"""Which server a command talks to.

Owns the order: the one named, the stack of this home, one at the usual address, and
at last a stack of our own that ends with the command. Refuses to show the token to a
stranger: at the usual address only our own or the system's listener is asked.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from orchestrator.domain.errors import JidoError
from orchestrator.local.errors import StackFailed, StackRunning
from orchestrator.local.home import read_token
from orchestrator.local.http import Api, ServerUnreachable
from orchestrator.local.launch import Lease, join_stack, start_stack
from orchestrator.local.readiness import unready
from orchestrator.settings import Settings
from orchestrator.wire.problems import Problem

_PROBE_S: Final = 3.0
"""Seconds a server has to answer a probe."""
_READY_S: Final = 60.0
"""Seconds a stack that is just starting has to become ready."""
_LISTEN: Final = "0A"
"""State of a listening socket in /proc/net/tcp."""


@contextlib.contextmanager
def connect(
    settings: Settings, environment: dict[str, str] | None = None, *, own: bool = False
) -> Iterator[Api]:
    """Yield a ready server; one of our own, with `environment`, has ended afterwards.

    `own` says never to use another's. Raises ServerUnreachable, Unauthorized as a Problem,
    StackFailed and whatever keeps a stack from starting.
    """
    with contextlib.ExitStack() as cleanup:
        api = None if own else existing(settings, cleanup)
        if api is None:
            api = _started(settings, environment or {}, cleanup)
        yield api


def existing(
    settings: Settings, cleanup: contextlib.ExitStack, *, patient: bool = True
) -> Api | None:
    """Return a server that already runs; None when a stack of our own is needed.

    `patient` waits for one that is just starting. Raises
    ServerUnreachable or Problem when a server was named and cannot be used.
    """
    if "url" in settings.model_fields_set:
        api = Api(settings.url, read_token(settings))
        _check_is_ours(api)
        api.call("GET", "/v1/sessions", timeout_s=_PROBE_S)
        return api
    lease = join_stack(settings)
    if lease is not None:
        cleanup.enter_context(lease)
        api = Api(lease.url, read_token(settings))
        if patient:
            wait_ready(api)
        return api
    return _at_usual_address(settings)


def wait_ready(api: Api) -> None:
    """Wait until a stack takes requests; raises StackFailed when it does not."""
    deadline = time.monotonic() + _READY_S
    while (fault := unready(api)) is not None:
        if fault.lasting or time.monotonic() > deadline:
            raise StackFailed(fault.reason)
        time.sleep(0.05)


def _started(settings: Settings, environment: dict[str, str], cleanup: contextlib.ExitStack) -> Api:
    if sys.stderr.isatty():
        print("Starting a server of our own …", file=sys.stderr)
    try:
        lease: Lease | None = start_stack(settings, 0, environment)
    except StackRunning:
        # Somebody was faster.
        lease = join_stack(settings)
    if lease is None:
        raise StackFailed("Another stack of this home has just ended. Try again.")
    cleanup.enter_context(lease)
    api = Api(lease.url, read_token(settings))
    if lease.own is not None:
        lease.own.wait_ready()
    else:
        wait_ready(api)
    return api


def _at_usual_address(settings: Settings) -> Api | None:
    token = read_token(settings)
    port = urlsplit(settings.url).port
    if token is None or port is None or not is_trusted_listener(port):
        return None
    api = Api(settings.url, token)
    try:
        _check_is_ours(api)
        api.call("GET", "/v1/sessions", timeout_s=_PROBE_S)
    except JidoError:
        # Nobody there, something else, or a server of another home.
        return None
    return api


def _check_is_ours(api: Api) -> None:
    """Ask, without the token, whether a server of ours answers; raises ServerUnreachable."""
    try:
        answer = Api(api.url, None).call("GET", "/healthz", timeout_s=_PROBE_S)
    except Problem as problem:
        answer = problem
    if not isinstance(answer, dict) or answer.get("status") != "ok":
        raise ServerUnreachable(
            f"What answers at {api.url} is no healthy Jido Code server. Mend JIDO_URL."
        )


def is_trusted_listener(port: int) -> bool:
    """Say whether what listens on a local port belongs to us or to the system.

    Any user can take a free port and wait for tokens. A port that nobody listens on is
    trusted too: connecting fails, or the kernel forwards it on the system's behalf.
    """
    owners = {uid for table in ("tcp", "tcp6") for uid in _listeners(table, port)}
    return owners <= {0, os.getuid()}


def _listeners(table: str, port: int) -> Iterator[int]:
    try:
        lines = Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    except OSError:
        return
    for line in lines:
        fields = line.split()
        if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
            yield int(fields[7])
