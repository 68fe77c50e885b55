"""What a session's container is: every flag that makes it a sandbox, in one place.

Owns the translation of a SandboxSpec and a project's layout into the engine's
words. Refuses anything not listed here; there are no free-form options.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from docker.types import HostConfig, LogConfig, Mount, Ulimit

from orchestrator.sandboxes.docker_filter import filter_profile
from orchestrator.sandboxes.handover import Handover
from orchestrator.sandboxes.interior import (
    HIDDEN_PROC,
    HIDDEN_SYS,
    MAX_OPEN_FILES,
    READ_ONLY_PROC,
    SEARCH_PATH,
    allowance,
    environment,
    sandbox_name,
)
from orchestrator.sandboxes.project_layout import Layout
from orchestrator.sandboxes.runtime import SandboxSpec

SESSION_LABEL: Final = "jido.session"
INSTANCE_LABEL: Final = "jido.instance"
PREPARATION_LABEL: Final = "jido.preparation"
CHANNEL_LABEL: Final = "jido.channel"
"""Path of the socket that its tool server was meant to be handed."""

ABSTRACT_NAME: Final = "jido"
"""Name of the tool server's abstract socket; the container's network is its own."""

INIT: Final = ["/usr/bin/tini", "--"]
PYTHON: Final = ["/usr/bin/python3", "-I", "-S", "-E"]
TOOLSERVER: Final = "/opt/jido/toolserver"

RELAY: Final = [
    "/usr/bin/socat",
    "-",
    f"ABSTRACT-CONNECT:{ABSTRACT_NAME},retry=4000,interval=0.005",
]
"""Copies a command's streams to the tool server, trying for 20 s while that starts."""


@dataclass(frozen=True, slots=True)
class EngineTraits:
    """What of an engine decides how it is told to confine a container."""

    user_namespaces: bool = False
    """Whether it shifts the users of containers unless told otherwise."""

    filter_of_its_own: bool = False
    """Whether its owner gave it a system call filter; that one is kept then."""


def session_container(
    spec: SandboxSpec,
    layout: Layout,
    traits: EngineTraits,
    socket_path: str = "",
    handover: Handover | None = None,
) -> dict[str, Any]:
    """Return the arguments of `create_container` for a session's sandbox.

    `socket_path` is where its channel will be; `handover` is where its tool server waits for that
    socket, None means nowhere.
    """
    host = host_config(spec, project_mounts(spec, layout), traits)
    if spec.limits.network == "open":
        host["NetworkMode"] = "bridge"
    return {
        **_process(spec, host),
        "name": sandbox_name(spec.instance_id, spec.session_id),
        "entrypoint": [*INIT, *PYTHON, TOOLSERVER],
        "command": _arguments(spec, handover),
        "labels": {
            SESSION_LABEL: spec.session_id,
            INSTANCE_LABEL: spec.instance_id,
            CHANNEL_LABEL: socket_path,
        },
        "environment": environment(spec.project_path),
    }


def _arguments(spec: SandboxSpec, handover: Handover | None) -> list[str]:
    words = ["--root", spec.project_path, "--abstract", ABSTRACT_NAME]
    if handover is not None:
        words += ["--handover", handover.name]
    return [*words, "--allowance", allowance(spec)]


def preparation_container(spec: SandboxSpec, program: str, traits: EngineTraits) -> dict[str, Any]:
    """Return the arguments for the short container that prepares a project as its owner."""
    mounts = [_bind(spec.project_path, read_only=False)]
    return {
        **_process(spec, host_config(spec, mounts, traits)),
        "entrypoint": [*PYTHON, "-c"],
        "command": [program, spec.project_path],
        "labels": {PREPARATION_LABEL: spec.session_id, INSTANCE_LABEL: spec.instance_id},
        "environment": {"PATH": SEARCH_PATH, "LANG": "C.UTF-8"},
    }


def _process(spec: SandboxSpec, host: dict[str, Any]) -> dict[str, Any]:
    return {
        "image": spec.image,
        "host_config": host,
        "user": f"{spec.owner_uid}:{spec.owner_gid}",
        "working_dir": spec.project_path,
        "hostname": "sandbox",
        "stdin_open": False,
        "tty": False,
        "healthcheck": {"test": ["NONE"]},
    }


def project_mounts(spec: SandboxSpec, layout: Layout) -> list[Mount]:
    """Return the project and the protected places in it, parents first."""
    mounts = [_bind(spec.project_path, read_only=layout.read_only)]
    for each in layout.protections:
        read_only = layout.read_only or not each.writable
        mounts.append(_bind(f"{spec.project_path}/{each.path}", read_only=read_only))
    return mounts


def _bind(path: str, *, read_only: bool) -> Mount:
    # Private propagation: nothing mounted on the host later shows up inside.
    return Mount(path, path, type="bind", read_only=read_only, propagation="rprivate")


def host_config(spec: SandboxSpec, mounts: list[Mount], traits: EngineTraits) -> dict[str, Any]:
    """Return the engine's settings that confine a container; `mounts` is all it sees."""
    limits = spec.limits
    settings = HostConfig(
        version="1.41",
        mounts=mounts,
        tmpfs=temporary_file_systems(spec),
        read_only=True,
        network_mode="none",
        ipc_mode="none",
        cgroupns="private",
        # The owner's number must mean the owner, also where the engine shifts users.
        userns_mode="host" if traits.user_namespaces else None,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges:true", *_system_call_filter(traits)],
        pids_limit=limits.pids,
        mem_limit=limits.memory_bytes,
        memswap_limit=limits.memory_bytes,
        nano_cpus=int(limits.cpus * 1_000_000_000),
        ulimits=[
            Ulimit(name="core", soft=0, hard=0),
            Ulimit(name="nofile", soft=MAX_OPEN_FILES, hard=MAX_OPEN_FILES),
            # Their namespace is the container's, mounted or not.
            Ulimit(name="msgqueue", soft=0, hard=0),
        ],
        restart_policy={"Name": "no"},
        log_config=LogConfig(type="none"),
        runtime=spec.oci_runtime,
    )
    hidden = [f"/proc/{name}" for name in HIDDEN_PROC] + [f"/sys/{name}" for name in HIDDEN_SYS]
    return {
        **settings,
        # These replace the engine's own lists, so they hold what those hold, and more.
        "MaskedPaths": [*hidden, "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/scsi"],
        # The first generation of control groups lies in a file system that is root's to write.
        "ReadonlyPaths": [*(f"/proc/{name}" for name in READ_ONLY_PROC), "/sys/fs/cgroup"],
    }


def _system_call_filter(traits: EngineTraits) -> list[str]:
    return [] if traits.filter_of_its_own else [f"seccomp={filter_profile()}"]


def temporary_file_systems(spec: SandboxSpec) -> dict[str, str]:
    """Return mount points and options: what is closed, and /tmp and /dev/shm if asked."""
    # Without a mount of ours the engine leaves /dev/mqueue writable.
    systems = {"/dev/mqueue": "ro,nosuid,nodev,noexec,size=4k,mode=0555"}
    if spec.owner_uid == 0:
        # The engine's /dev is root's to write. This one is not, and has no terminals:
        # an engine mounts nothing of its own beneath a /dev that it was given.
        systems["/dev"] = "ro,nosuid,dev,noexec,size=64k,mode=0755"
    if spec.limits.tmpfs_bytes > 0:
        options = f"rw,nosuid,nodev,exec,size={spec.limits.tmpfs_bytes},mode=1777"
        systems["/tmp"] = options
        systems["/dev/shm"] = options
    return systems
