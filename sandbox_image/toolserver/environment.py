"""The environment of everything the tool server starts: a fixed, small set of variables.

Nothing else of the server's own environment is ever passed on.
"""

from __future__ import annotations

import os

from sandbox_image.toolserver.errors import ToolFailure

_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

PRIVATE_DIRECTORY = ".jido_code"
"""Directory beneath the project that holds HOME and TMPDIR and ignores itself."""


def command_environment(root: str, own: dict[str, str]) -> dict[str, str]:
    """Variables of a command in the project at `root`, given the server's `own` environment."""
    private = os.path.join(root, PRIVATE_DIRECTORY)
    home = own.get("HOME", "")
    return {
        "PATH": own.get("PATH") or _DEFAULT_PATH,
        "HOME": home if _beneath(home, root) else f"{private}/home",
        "TMPDIR": own.get("TMPDIR") or f"{private}/tmp",
        "LANG": own.get("LANG") or "C.UTF-8",
        "TERM": "dumb",
        "USER": own.get("USER") or "jido",
    }


def merge(base: dict[str, str], extra: dict[str, str]) -> dict[str, str]:
    """Layer a request's variables over the fixed ones; raises `invalid_argument`."""
    for name, value in extra.items():
        if not name or "=" in name or "\0" in name or "\0" in value:
            raise ToolFailure("invalid_argument", f"not an environment variable: {name[:80]!r}")
    return {**base, **extra} if extra else base


def _beneath(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip("/") + "/")
