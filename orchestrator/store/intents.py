"""What the supervisor is asked to make true: one sandbox per session, running or stopped.

Owns the closed vocabulary; refuses free container options, so that nothing a
client or a model writes can become a mount or a flag.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Desired = Literal["running", "stopped"]


class SandboxIntent(BaseModel):
    """The sandbox one session should have."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    session_id: str
    project_path: str
    """Real, absolute path; mounted at the same place inside."""
    owner_uid: int
    """User the sandbox runs as: the directory's owner."""
    owner_gid: int
    image: str
    """Name of the sandbox image; runtimes without images ignore it."""
    memory_bytes: int
    """Bytes of memory."""
    cpus: float
    """Processors; fractions are shares of one."""
    pids: int
    """Processes and threads."""
    tmpfs_bytes: int = 0
    """Bytes of a writable /tmp in memory; 0 means none."""
    disk_bytes: int = 0
    """Bytes the session may add to its project; 0 means no ceiling."""
    disk_warning_bytes: int = 0
    """Added bytes from which the session is warned; 0 means never."""
    network: Literal["none", "allowlist", "open"] = "none"
    oci_runtime: str | None = None
    """None takes the engine's default."""
    desired: Desired = "running"
    generation: int = 1
    """Raised by each wanted restart; a running sandbox of a lower one is replaced."""
