"""Where a probe's program must be allowed: the hardened container with one property less.

Owns the list of controls. No single loose container serves for all, because an
engine's defaults already deny much; each control names what it takes away.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import docker

from orchestrator.sandboxes.docker_container import EngineTraits, session_container
from orchestrator.sandboxes.project_layout import Layout
from orchestrator.sandboxes.runtime import SandboxSpec
from tests.support.docker import remove
from tests.support.requirements import SANDBOX_IMAGE

_IDLE = ["/usr/bin/tini", "--", "/bin/sleep", "600"]
_NO_NEW_PRIVILEGES = "no-new-privileges:true"
_NO_FILTER = "seccomp=unconfined"

Change = Callable[[dict[str, Any]], None]


def _without_filter(host: dict[str, Any]) -> None:
    host["SecurityOpt"] = [_NO_NEW_PRIVILEGES, _NO_FILTER]


def _mounting(host: dict[str, Any]) -> None:
    host["SecurityOpt"] = [_NO_FILTER]
    host["CapDrop"] = []
    host["CapAdd"] = ["ALL"]


def _without_protections(host: dict[str, Any]) -> None:
    host["Mounts"] = host["Mounts"][:1]


def _writable(host: dict[str, Any]) -> None:
    host["ReadonlyRootfs"] = False
    host["Tmpfs"] = {}


def _with_network(host: dict[str, Any]) -> None:
    host["NetworkMode"] = "bridge"


def _without_limits(host: dict[str, Any]) -> None:
    for name in ("PidsLimit", "Memory", "MemorySwap", "Ulimits"):
        host.pop(name, None)


def _swapping(host: dict[str, Any]) -> None:
    host["MemorySwap"] = -1


def _gaining(host: dict[str, Any]) -> None:
    host["SecurityOpt"] = [_NO_FILTER]
    host["CapDrop"] = []


def _host_processes(host: dict[str, Any]) -> None:
    host["PidMode"] = "host"


def _host_interprocess(host: dict[str, Any]) -> None:
    host["IpcMode"] = "host"


def _unmasked(host: dict[str, Any]) -> None:
    host["MaskedPaths"] = host["ReadonlyPaths"] = []


CONTROLS: dict[str, Change] = {
    "unfiltered": _without_filter,
    "protected": _mounting,
    "unprotected": _without_protections,
    "writable": _writable,
    "networked": _with_network,
    "unlimited": _without_limits,
    "swapping": _swapping,
    "gaining": _gaining,
    "host-processes": _host_processes,
    "host-interprocess": _host_interprocess,
    "unmasked": _unmasked,
}
"""The hardened container without one property: filter, protections, read-only root, …
Three more are given something: `temporary` a /tmp and a /dev/shm, `terminal` a terminal,
`told` a key in its environment."""

LOOSE = ("plain", "privileged")
"""Containers of root that have nothing of ours: the engine's defaults, and none of them."""

HOST = "host"
"""No container at all."""


def _hardened(spec: SandboxSpec, layout: Layout, control: str) -> dict[str, Any]:
    if control == "temporary":
        spec = replace(spec, limits=replace(spec.limits, tmpfs_bytes=1_048_576))
    arguments = session_container(spec, layout, EngineTraits())
    if control == "protected":
        arguments["user"] = "0:0"
    if control in CONTROLS:
        CONTROLS[control](arguments["host_config"])
    terminal = control == "terminal"
    if control == "told":
        arguments["environment"] = arguments["environment"] | {"ANTHROPIC_API_KEY": "x"}
    return arguments | {"entrypoint": _IDLE, "command": [], "name": None, "tty": terminal}


def _loose(spec: SandboxSpec, control: str) -> dict[str, Any]:
    path = spec.project_path
    return {
        "image": SANDBOX_IMAGE,
        "user": "0:0",
        "working_dir": path,
        "entrypoint": _IDLE,
        "host_config": {"Binds": [f"{path}:{path}"], "Privileged": control == "privileged"},
    }


@contextmanager
def container(spec: SandboxSpec, layout: Layout, control: str) -> Iterator[str]:
    """Start a control's container on a project, and remove it."""
    loose = control in LOOSE
    arguments = _loose(spec, control) if loose else _hardened(spec, layout, control)
    client = docker.APIClient(version="auto")
    try:
        made = str(client.create_container(**arguments)["Id"])
        try:
            client.start(made)
            yield made
        finally:
            remove([made])
    finally:
        client.close()


def run(spec: SandboxSpec, layout: Layout, control: str, words: list[str]) -> str:
    """Run words of a Python in a control and return what they print."""
    if control == HOST:
        environment = {"PATH": os.environ["PATH"], "HOME": spec.project_path}
        done = subprocess.run(
            [sys.executable, "-I", *words],
            cwd=spec.project_path,
            env=environment,
            capture_output=True,
            text=True,
        )
    else:
        with container(spec, layout, control) as name:
            done = subprocess.run(
                ["docker", "exec", name, "python3", "-I", *words], capture_output=True, text=True
            )
    assert done.returncode == 0, done.stderr
    return done.stdout
