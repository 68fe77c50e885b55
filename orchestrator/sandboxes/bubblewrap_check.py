"""Whether this machine lets an unprivileged process isolate itself, and if not, why.

Owns trying it once with the very options sandboxes use, and the ways out by cause.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

from orchestrator.sandboxes.bubblewrap_command import isolation, system
from orchestrator.sandboxes.runtime_errors import RuntimeUnavailable
from orchestrator.sandboxes.seccomp import UnknownArchitecture, filter_program

TRIAL_TIMEOUT_S: Final = 15.0
"""Seconds of the trial; it takes about 0.01."""

_ENGINE: Final = "give it a container engine's socket (DOCKER_HOST or /var/run/docker.sock)"


def require_usable(bwrap: str) -> None:
    """Return when bubblewrap isolates here; raises RuntimeUnavailable with cause and ways out."""
    try:
        filter_program()
    except UnknownArchitecture as error:
        raise RuntimeUnavailable(f"bubblewrap cannot be used: {error}. Use Docker.") from error
    try:
        trial = subprocess.run(
            [bwrap, *isolation(), *system(), "--remount-ro", "/", "--", "/usr/bin/env", "true"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={},
            cwd="/",
            timeout=TRIAL_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RuntimeUnavailable(
            f"bubblewrap cannot be executed ({error}). {_way_out()}"
        ) from error
    if trial.returncode != 0:
        said = " ".join(trial.stderr.decode(errors="replace").split())[:300]
        raise RuntimeUnavailable(f"bubblewrap cannot isolate here ({said}). {_way_out()}")


def _way_out() -> str:
    if _number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == 1:
        return (
            "This system's AppArmor restricts user namespaces: install a profile that allows "
            "them to bwrap (package apparmor-profiles has bwrap-userns-restrict), set sysctl "
            f"kernel.apparmor_restrict_unprivileged_userns=0, or {_ENGINE}."
        )
    if _number("/proc/sys/kernel/unprivileged_userns_clone") == 0:
        return (
            "This system refuses user namespaces: set sysctl kernel.unprivileged_userns_clone=1, "
            f"or {_ENGINE}."
        )
    if _number("/proc/sys/user/max_user_namespaces") == 0:
        return (
            "This system allows no user namespace: raise sysctl user.max_user_namespaces, "
            f"or {_ENGINE}."
        )
    if any(Path(path).exists() for path in ("/.dockerenv", "/run/.containerenv")):
        return (
            "This is a container whose profile refuses namespaces: start it with "
            "--security-opt seccomp=unconfined --security-opt systempaths=unconfined "
            f"(and apparmor=unconfined where there is one), or {_ENGINE}."
        )
    return f"Allow unprivileged user namespaces to bwrap, or {_ENGINE}."


def _number(path: str) -> int | None:
    try:
        return int(Path(path).read_text())
    except (OSError, ValueError):
        return None
