"""Whether the system can work, and how it is set up.

Owns what is checked and which settings anybody with the token may see. Refuses
secrets: tokens, keys and addresses that may hold a password are never shown.
"""

from __future__ import annotations

from typing import Any, Final

from orchestrator import __version__
from orchestrator.domain import limits
from orchestrator.domain.errors import JidoError
from orchestrator.services.model_choice import WORKER
from orchestrator.settings import Settings
from orchestrator.store.facade import Store
from orchestrator.wire.bodies import Health

SUPERVISOR: Final = "supervisor"
"""Kind under which the supervisor announces itself."""

_SHOWN: Final = (
    "runtime",
    "sandbox_image",
    "oci_runtime",
    "max_sessions",
    "model",
    "temperature",
    "max_tokens",
    "approval",
    "theme",
    "sandbox_memory",
    "sandbox_cpus",
    "sandbox_pids",
    "sandbox_tmpfs",
    "sandbox_disk",
    "sandbox_disk_warning",
    "sandbox_network",
)


class HealthService:
    """Looks at the parts the api depends on."""

    def __init__(self, store: Store, settings: Settings) -> None:
        """Look through `store`."""
        self._store = store
        self._settings = settings

    async def ready(self) -> Health:
        """Return each part's state: `ok`, or what is wrong and what to do."""
        try:
            await self._store.ping()
            supervisor = await self._store.presence.present(SUPERVISOR)
            worker = await self._store.presence.present(WORKER)
        except JidoError as error:
            return Health(status="unavailable", checks={"redis": error.detail})
        checks = {
            "redis": "ok",
            "supervisor": _supervisor(supervisor),
            "worker": "ok" if worker is not None else "No worker runs. Start one: jido work.",
        }
        healthy = all(state == "ok" for state in checks.values())
        return Health(status="ok" if healthy else "unavailable", checks=checks)

    async def settings(self) -> dict[str, Any]:
        """Return the settings in force, without secrets."""
        shown = {name: getattr(self._settings, name) for name in _SHOWN}
        supervisor = await self._store.presence.present(SUPERVISOR)
        return {
            **shown,
            "version": __version__,
            "project_roots": self._settings.roots,
            "active_runtime": (supervisor or {}).get("runtime"),
            "limits": {
                "name_characters": limits.MAX_NAME_CHARACTERS,
                "path_bytes": limits.MAX_PATH_BYTES,
                "prompt_bytes": limits.MAX_PROMPT_BYTES,
                "queued_turns": limits.MAX_QUEUED_TURNS,
                "saved_sessions": limits.MAX_SAVED_SESSIONS,
                "command_timeout_s": limits.MAX_COMMAND_TIMEOUT_S,
            },
        }

    async def sessions_by_status(self) -> dict[str, int]:
        """Return how many live sessions there are of each status."""
        counts: dict[str, int] = {}
        for session in await self._store.sessions.list():
            counts[session.status] = counts.get(session.status, 0) + 1
        return counts


def _supervisor(announced: dict[str, Any] | None) -> str:
    if announced is None:
        return "No supervisor runs. Start one: jido supervise."
    fault = announced.get("error")
    return str(fault) if fault else "ok"
