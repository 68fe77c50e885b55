"""What a failed command cannot know: that the sandbox lacks something a setting gives.

Owns the complaints by which that is recognised and the words for it. Refuses to touch
the result of a command that succeeded, or to add anything twice.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from pydantic_ai.workspaces import CommandResult

_LOOKED_AT: Final = 8_192
"""Characters at the end of a command's complaint that are looked at."""

_SHARED_MEMORY: Final = re.compile(r"/dev/shm|SemLock|sem_open|shm_open|sem_init|SharedMemory")
_TEMPORARY: Final = re.compile(r"/tmp\b[^\n]*Read-only file system|Read-only[^\n]*/tmp\b")

_NO_SHARED_MEMORY: Final = (
    "[This sandbox has no /dev/shm, which POSIX semaphores and shared memory need. Do without "
    "(threads, or processes that share nothing), or ask the user to set JIDO_SANDBOX_TMPFS, "
    "for example to 64m, and to open the session again.]"
)
_NO_TEMPORARY: Final = (
    "[/tmp is not writable in this sandbox. Put temporary files into $TMPDIR, or ask the user "
    "to set JIDO_SANDBOX_TMPFS, for example to 64m, and to open the session again.]"
)


def with_hint(result: CommandResult) -> CommandResult:
    """Return the result of a command, with a line more where a setting would have helped."""
    if result.exit_code == 0:
        return result
    complaint = result.stderr[-_LOOKED_AT:]
    if _SHARED_MEMORY.search(complaint):
        hint = _NO_SHARED_MEMORY
    elif _TEMPORARY.search(complaint):
        hint = _NO_TEMPORARY
    else:
        return result
    return replace(result, stderr=f"{result.stderr.rstrip()}\n{hint}\n")
