"""Telling a session that a protected file of its project was replaced from outside.

The kernel takes a mount away with the file it lies on: when somebody outside renames a
new file over `.git/config`, as git itself does, the sandbox may write the new one until
it starts again. Nothing inside can prevent or cause that, so it is looked for from
outside, by the files' identity. Owns looking and telling; refuses to read or to mend.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final

import structlog

from orchestrator.domain.errors import JidoError
from orchestrator.domain.events import NewEvent
from orchestrator.services.story import notice
from orchestrator.store.facade import Store
from orchestrator.supervisor.lifecycle import Lifecycle

LOOK_INTERVAL_S: Final = 1.0
"""Seconds between two looks; a replaced file stands open for about as long untold."""

LOOK_TIMEOUT_S: Final = 10.0
"""Seconds a file system may take to answer; one that never does is asked again later."""

LOOK_THREADS: Final = 4
"""Projects looked at together."""

PROTECTED: Final = (
    ".git",
    ".git/hooks",
    ".git/config",
    ".git/commondir",
    ".git/config.worktree",
    ".jido_code",
    ".jido_code/settings.json",
)
"""What sandboxes must not change, as far as a project has it."""

Identities = Mapping[str, tuple[int, int]]

_log = structlog.get_logger(__name__)


def identities(project: str) -> Identities:
    """Return device and inode of each protected path there is; blocks.

    Raises OSError when that cannot be told.
    """
    found: dict[str, tuple[int, int]] = {}
    for path in PROTECTED:
        with suppress(FileNotFoundError, NotADirectoryError):
            status = os.lstat(os.path.join(project, path))
            found[path] = (status.st_dev, status.st_ino)
    return found


def replaced(before: Identities, after: Identities) -> list[str]:
    """Return the paths that are no longer what they were."""
    return [path for path, identity in before.items() if after.get(path) != identity]


class ProtectionMonitor:
    """Looks at the protected files of every project whose sandbox is served."""

    def __init__(self, store: Store, lifecycle: Lifecycle) -> None:
        """Tell `store` of the projects whose sandboxes `lifecycle` serves."""
        self._store = store
        self._lifecycle = lifecycle
        self._pool = ThreadPoolExecutor(LOOK_THREADS, thread_name_prefix="protection")
        self._seen: dict[str, tuple[int, Identities]] = {}

    async def run(self) -> None:
        """Look once a second, until cancelled."""
        try:
            while True:
                try:
                    await self._look()
                except JidoError as error:
                    _log.debug("protection.unseen", code=error.code)
                await asyncio.sleep(LOOK_INTERVAL_S)
        finally:
            self._pool.shutdown(wait=False, cancel_futures=True)

    async def _look(self) -> None:
        served = dict(self._lifecycle.served)
        for session_id in self._seen.keys() - served.keys():
            del self._seen[session_id]
        if not served:
            return
        for intent in await self._store.sessions.intents():
            if intent.session_id in served:
                generation = served[intent.session_id]
                await self._compare(intent.session_id, generation, intent.project_path)

    async def _compare(self, session_id: str, generation: int, project: str) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(LOOK_TIMEOUT_S):
                now = await loop.run_in_executor(self._pool, identities, project)
        except (TimeoutError, OSError):
            return
        known = self._seen.get(session_id)
        if known is not None and known[0] == generation:
            lost = replaced(known[1], now)
            if lost:
                _log.warning("protection.lost", session_id=session_id, paths=lost)
                await self._store.events.append(session_id, [_lost(lost)])
        # Only now: what could not be told is found again by the next look.
        self._seen[session_id] = (generation, now)


def _lost(paths: list[str]) -> NewEvent:
    return notice(
        "warning",
        "protection_lost",
        f"Replaced from outside while the sandbox ran: {', '.join(paths)}. The sandbox may change "
        "that now, and your own git would run what it says. Look at it (`git config --list "
        "--local`, `.git/hooks`), then protect it again with /session restart.",
    )
