"""What a runtime must do: start, stop and watch the sandboxes of sessions.

Owns the words both sides share: what a sandbox is made of, what is running,
how one ended. It is a closed vocabulary on purpose: nothing a client or a model
writes can become a mount or a flag. Refuses any knowledge of an engine.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal, Protocol

NetworkMode = Literal["none", "allowlist", "open"]
ExitReason = Literal["exited", "oom", "gone"]


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """What one sandbox may use."""

    memory_bytes: int
    """Bytes of memory, swap included; there is no unlimited sandbox, so 0 is refused."""

    cpus: float
    """Processors, fractions allowed; 0 is refused."""

    pids: int
    """Processes and threads at once; 0 is refused."""

    tmpfs_bytes: int
    """Bytes of a temporary file system on /tmp and on /dev/shm each; 0 means neither exists."""

    network: NetworkMode
    """none: loopback only. allowlist and open: where the runtime supports them, else refused."""

    disk_bytes: int = 0
    """Bytes the session may add to its project; 0 means no ceiling."""

    disk_warning_bytes: int = 0
    """Added bytes from which the session is warned; 0 means never."""


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """Everything that decides what one session's sandbox is."""

    session_id: str
    """Identifier of the session, a UUID."""

    instance_id: str
    """Identifier of the installation that owns the sandbox, a UUID."""

    project_path: str
    """Real absolute path of the project on the host; the same path inside."""

    owner_uid: int
    """User id of the project's owner; the sandbox runs as it. 0 is allowed, and weaker."""

    owner_gid: int
    """Group id of the project's owner."""

    image: str
    """Image of the sandbox; runtimes without images ignore it."""

    limits: SandboxLimits
    """What the sandbox may use."""

    oci_runtime: str | None = None
    """Name of an OCI runtime of the engine, such as runsc; None means the engine's default."""

    disk_baseline: int | None = None
    """Bytes the project took when its session began; None measures them at the start."""


@dataclass(frozen=True, slots=True)
class RunningSandbox:
    """A sandbox of this installation that is alive."""

    session_id: str
    """Identifier of the session."""

    instance_id: str
    """Identifier of the installation."""


@dataclass(frozen=True, slots=True)
class SandboxExit:
    """A sandbox that ended without having been asked to."""

    session_id: str
    """Identifier of the session."""

    reason: ExitReason
    """exited: its first process ended. oom: the kernel ended it. gone: removed by somebody."""

    exit_code: int | None
    """Exit code of its first process (128 + signal for a signal); None when nobody knows."""

    detail: str
    """One line for people."""

    memory_kills: int | None = None
    """Processes the kernel has killed in it for want of memory, ever; None when nobody counted."""


class SandboxRuntime(Protocol):
    """One way of making sandboxes; every body passes the same behavioural suite."""

    @property
    def name(self) -> str:
        """Name in settings and in a session's record: docker, bubblewrap, …"""
        ...

    async def check(self) -> None:
        """Return when sandboxes can be started here.

        Raises RuntimeUnavailable with the cause and the ways out.
        """
        ...

    async def start(self, spec: SandboxSpec, socket_path: str) -> None:
        """Make the sandbox of a session and serve its channel at `socket_path`.

        On return a connection to the unix socket reaches a tool server that has said
        hello. Idempotent for the same session. On any failure nothing is left behind.
        Raises an error of `runtime_errors`.
        """
        ...

    async def stop(self, session_id: str) -> None:
        """End a session's sandbox and its channel; one that is gone is success."""
        ...

    async def running(self) -> list[RunningSandbox]:
        """List the living sandboxes of this installation, those of an earlier process included."""
        ...

    async def adopt(self, session_id: str, socket_path: str) -> bool:
        """Serve the channel of a sandbox that an earlier process started; False if it is dead."""
        ...

    def exits(self) -> AsyncIterator[SandboxExit]:
        """Yield every sandbox that ends unasked, until `close`. One reader at a time."""
        ...

    async def close(self) -> None:
        """Release the runtime's own resources; sandboxes go on running."""
        ...
