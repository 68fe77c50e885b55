"""What a test needs of the machine: absent it skips here, and fails where CI=true.

Owns the question and the sentence. A CI that quietly skips its container tests
would prove nothing.
"""

from __future__ import annotations

import os
import subprocess
from functools import cache
from typing import NoReturn

import pytest

from orchestrator import __version__
from orchestrator.sandboxes.bubblewrap_check import require_usable
from orchestrator.sandboxes.bubblewrap_support import find_bwrap
from orchestrator.sandboxes.runtime_errors import RuntimeUnavailable

SANDBOX_IMAGE = os.environ.get("JIDO_SANDBOX_IMAGE") or f"jido-sandbox:{__version__}"


def require_docker() -> None:
    """Need a Docker engine and the sandbox image."""
    if not _succeeds("docker", "version", "--format", "{{.Server.Version}}"):
        _missing("No Docker engine answers. `make engine` sets one up.")
    if not _succeeds("docker", "image", "inspect", SANDBOX_IMAGE):
        _missing(f"The image {SANDBOX_IMAGE} is missing. `make image` builds it.")


def require_bubblewrap() -> None:
    """Need bubblewrap and a kernel that lets it isolate."""
    try:
        require_usable(find_bwrap())
    except RuntimeUnavailable as error:
        _missing(error.detail)


def require(condition: bool, what: str) -> None:
    """Need `condition`; `what` says what the machine lacks without it."""
    if not condition:
        _missing(what)


def _missing(what: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(what, pytrace=False)
    pytest.skip(what)


@cache
def _succeeds(*command: str) -> bool:
    try:
        done = subprocess.run(command, capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
