"""What a bubblewrap sandbox is: every option of bwrap, in one place.

Owns the file system a sandbox sees, its namespaces and its environment. Shows it
the system's programs read-only, none of the host's settings but what programs
need to start, and the project. Refuses anything not listed here.
"""

from __future__ import annotations

import os
import platform
import resource
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from orchestrator.sandboxes.bubblewrap_support import INSIDE, Support
from orchestrator.sandboxes.cgroups import Group
from orchestrator.sandboxes.interior import (
    HIDDEN_PROC,
    MAX_OPEN_FILES,
    READ_ONLY_PROC,
    allowance,
    environment,
)
from orchestrator.sandboxes.project_layout import Layout
from orchestrator.sandboxes.runtime import SandboxSpec

_SYSTEM: Final = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")

_SETTINGS: Final = (
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/magic",
    "/etc/mime.types",
    "/etc/ssl/certs",
)
"""Of the host's settings only these, which hold no secret, are shown."""

_USER_NAMESPACES_COUNT_ALONE: Final = (5, 14)
"""Kernel from which the limit of processes counts those of the sandbox only."""

_START: Final = """\
import os, resource, runpy
os.closerange(3, {listener})
os.closerange({listener} + 1, 65536)
for limit, value in {limits}:
    hard = resource.getrlimit(limit)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(limit, (value, value))
runpy.run_path({path!r}, run_name="__main__")
"""


@dataclass(frozen=True, slots=True)
class Handles:
    """Inherited file descriptors that bwrap reads and writes."""

    listener: int
    """The listening socket of the channel."""
    seccomp: int
    """The system call filter."""
    information: int
    """Where bwrap writes the sandbox's first process."""
    block: int
    """What bwrap waits for before it goes on."""
    accounts: tuple[tuple[str, int], ...]
    """Generated files of /etc: path, and descriptor of the content."""


def isolation() -> list[str]:
    """Return the options every use of bwrap has, the check of the machine included."""
    return [
        "--unshare-user",
        "--unshare-ipc",
        "--unshare-pid",
        "--unshare-net",
        "--unshare-uts",
        "--unshare-cgroup-try",
        "--disable-userns",
        "--new-session",
        "--cap-drop",
        "ALL",
        "--clearenv",
        *("--hostname", "sandbox"),
    ]


def system() -> list[str]:
    """Return the read-only system: programs, libraries, /proc and a small /dev."""
    options = ["--ro-bind", "/usr", "/usr"]
    for name in _SYSTEM:
        path = f"/{name}"
        if os.path.islink(path):
            options += ["--symlink", os.readlink(path), path]
        elif os.path.isdir(path):
            options += ["--ro-bind", path, path]
    options += ["--proc", "/proc", "--dev", "/dev", "--dir", "/tmp", "--dir", "/run"]
    for name in _present("/proc", READ_ONLY_PROC):
        options += ["--ro-bind", f"/proc/{name}", f"/proc/{name}"]
    for name in _present("/proc", HIDDEN_PROC):
        options += ["--ro-bind", "/dev/null", f"/proc/{name}"]
    return options


def _present(directory: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if os.path.lexists(f"{directory}/{name}")]


def account_files(spec: SandboxSpec) -> dict[str, str]:
    """Return the files of /etc that name users and hosts, with nobody in them but the owner."""
    home = f"{spec.project_path}/.jido_code/home"
    owner = f"jido:x:{spec.owner_uid}:{spec.owner_gid}::{home}:/bin/sh\n"
    group = f"jido:x:{spec.owner_gid}:\n"
    nobody = "nobody:x:65534:65534::/nonexistent:/bin/false\n"
    return {
        "/etc/passwd": owner if spec.owner_uid == 65534 else owner + nobody,
        "/etc/group": group if spec.owner_gid == 65534 else group + "nogroup:x:65534:\n",
        "/etc/hosts": "127.0.0.1 localhost sandbox\n::1 localhost\n",
        "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
        "/etc/gitconfig": "[safe]\n\tdirectory = *\n",
    }


def command(
    spec: SandboxSpec, layout: Layout, support: Support, handles: Handles, group: Group
) -> list[str]:
    """Return bwrap's arguments for a session's sandbox."""
    return [
        *isolation(),
        *system(),
        *_settings(handles),
        *_programs(support),
        *_counters(group),
        *_temporary(spec),
        *_project(spec, layout),
        # Last, when every mount point exists: what holds them can no longer be changed.
        *("--remount-ro", "/dev", "--remount-ro", "/"),
        *_environment(spec, support),
        *("--chdir", spec.project_path),
        *("--seccomp", str(handles.seccomp)),
        *("--info-fd", str(handles.information), "--block-fd", str(handles.block)),
        "--",
        *_server(spec, support, handles, group),
    ]


def _settings(handles: Handles) -> list[str]:
    options: list[str] = []
    for path in _SETTINGS:
        if os.path.exists(path):
            options += ["--ro-bind", path, path]
    for path, handle in handles.accounts:
        options += ["--perms", "0444", "--file", str(handle), path]
    return options


def _programs(support: Support) -> list[str]:
    options = ["--ro-bind", support.programs, INSIDE]
    if support.prefix is not None:
        options += ["--ro-bind", support.prefix, support.prefix]
    return options


def _counters(group: Group) -> list[str]:
    """Show the sandbox what its group counts against it, where a container sees the same."""
    options: list[str] = []
    for path, inside in group.counters():
        options += ["--ro-bind", path, inside]
    return options


def _temporary(spec: SandboxSpec) -> list[str]:
    size = spec.limits.tmpfs_bytes
    if size == 0:
        return []
    options: list[str] = []
    for path in ("/tmp", "/dev/shm"):
        options += ["--perms", "1777", "--size", str(size), "--tmpfs", path]
    return options


def _project(spec: SandboxSpec, layout: Layout) -> list[str]:
    options = ["--ro-bind" if layout.read_only else "--bind", spec.project_path, spec.project_path]
    for each in layout.protections:
        path = f"{spec.project_path}/{each.path}"
        writable = each.writable and not layout.read_only
        options += ["--bind" if writable else "--ro-bind", path, path]
    return options


def _environment(spec: SandboxSpec, support: Support) -> list[str]:
    variables = environment(spec.project_path)
    if support.has_search:
        variables["PATH"] += f":{INSIDE}/bin"
    if support.prefix is not None:
        variables["PATH"] += f":{support.prefix}/bin"
    options: list[str] = []
    for name, value in variables.items():
        options += ["--setenv", name, value]
    return options


def _server(spec: SandboxSpec, support: Support, handles: Handles, group: Group) -> list[str]:
    # Limits are set by the interpreter itself before the tool server is loaded: a process
    # outside may not set those of another user's, and a shell would be one more to start.
    program = _START.format(
        listener=handles.listener,
        limits=sorted(_limits(spec, group).items()),
        path=f"{INSIDE}/toolserver",
    )
    words = [support.interpreter, "-I", "-S", "-E", "-c", program]
    words += ["--root", spec.project_path, "--listen-fd", str(handles.listener)]
    words += ["--allowance", allowance(spec)]
    if support.lua_command:
        words += ["--lua-command", *support.lua_command]
    return words


def _limits(spec: SandboxSpec, group: Group) -> dict[int, int]:
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: MAX_OPEN_FILES,
        resource.RLIMIT_MSGQUEUE: 0,
    }
    if group.limited:
        # The group counts what it refuses; limits of a process would refuse unseen before it.
        return limits
    # Of one process; a limit of address space would refuse programs that only reserve it.
    limits[resource.RLIMIT_DATA] = spec.limits.memory_bytes
    if _counts_alone():
        limits[resource.RLIMIT_NPROC] = spec.limits.pids
    return limits


def _counts_alone() -> bool:
    numbers = platform.release().split("-")[0].split(".")[:2]
    return all(each.isdigit() for each in numbers) and (
        tuple(int(each) for each in numbers) >= _USER_NAMESPACES_COUNT_ALONE
    )
