"""What every sandbox has alike inside and in its name, whatever runtime makes it."""

from __future__ import annotations

from typing import Final

from orchestrator.domain.ids import short

MAX_OPEN_FILES: Final = 4096
"""Open files of one process in a sandbox."""

SEARCH_PATH: Final = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
"""Where a sandbox looks for programs."""


def sandbox_name(instance_id: str, session_id: str) -> str:
    """Return the name of a session's container or control group."""
    return f"jido-{short(instance_id)}-{short(session_id)}"


def environment(project_path: str) -> dict[str, str]:
    """Return all that a sandbox's first process finds in its environment."""
    return {
        "HOME": f"{project_path}/.jido_code/home",
        "TMPDIR": f"{project_path}/.jido_code/tmp",
        "PATH": SEARCH_PATH,
        "LANG": "C.UTF-8",
    }
