"""Whether a server is ready, and how its sessions are brought to an end.

Owns what `/readyz` means to a starter: which faults pass and which stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from orchestrator.domain.errors import JidoError
from orchestrator.local.http import Api, ServerUnreachable
from orchestrator.wire.problems import Problem

_ABSENT: Final = "No supervisor runs"
"""How the fault of a supervisor begins that has only not started yet."""
_CLOSE_S: Final = 20.0
"""Seconds one session may take to be saved and closed."""


@dataclass(frozen=True)
class Fault:
    """Why a server is not ready."""

    reason: str
    """One line."""
    lasting: bool
    """True when waiting will not help."""


def unready(api: Api) -> Fault | None:
    """Return what keeps the server from working; None when it is ready."""
    try:
        api.call("GET", "/readyz", timeout_s=5.0)
    except ServerUnreachable as error:
        return Fault(error.detail, lasting=False)
    except Problem as problem:
        checks = problem.extra.get("checks")
        return _fault(dict(checks) if isinstance(checks, dict) else {}, problem.detail)
    return None


def _fault(checks: Mapping[str, object], otherwise: str) -> Fault:
    faults = {name: str(text) for name, text in checks.items() if text != "ok"}
    supervisor = faults.get("supervisor", _ABSENT)
    if not supervisor.startswith(_ABSENT):
        # The supervisor runs and says why no sandbox can be started.
        return Fault(supervisor, lasting=True)
    return Fault("; ".join(f"{name}: {text}" for name, text in faults.items()) or otherwise, False)


def close_sessions(api: Api) -> None:
    """Save and close every session at once; raises JidoError when the list cannot be read."""
    items = api.call("GET", "/v1/sessions", timeout_s=5.0)["items"]
    if not items:
        return

    def close(session_id: str) -> None:
        try:
            api.call("DELETE", f"/v1/sessions/{session_id}?save=true", timeout_s=_CLOSE_S)
        except JidoError:
            # Closed by somebody else, or kept in the store for the next start.
            return

    with ThreadPoolExecutor(max_workers=len(items)) as pool:
        list(pool.map(close, [str(item["id"]) for item in items]))
