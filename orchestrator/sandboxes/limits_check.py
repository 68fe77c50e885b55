"""Refuses limits that would mean no limit, in the same words for every runtime."""

from __future__ import annotations

from orchestrator.sandboxes.runtime import SandboxLimits
from orchestrator.sandboxes.runtime_errors import InvalidLimits

MIN_MEMORY_BYTES = 33_554_432
"""Bytes below which the tool server itself does not fit."""

MIN_PIDS = 16
"""Processes below which a command cannot run beside the tool server."""


def require_sane(limits: SandboxLimits) -> None:
    """Raise InvalidLimits when one of the limits is too small or would mean unlimited."""
    if limits.memory_bytes < MIN_MEMORY_BYTES:
        raise InvalidLimits(
            f"Sandbox memory of {limits.memory_bytes} bytes is below {MIN_MEMORY_BYTES}. "
            "Raise JIDO_SANDBOX_MEMORY."
        )
    if not 0 < limits.cpus <= 1024:
        raise InvalidLimits(
            f"Sandbox CPUs of {limits.cpus} are not above 0. Set JIDO_SANDBOX_CPUS."
        )
    if limits.pids < MIN_PIDS:
        raise InvalidLimits(
            f"A sandbox of {limits.pids} processes is below {MIN_PIDS}. Raise JIDO_SANDBOX_PIDS."
        )
    if limits.disk_bytes < 0 or limits.disk_warning_bytes < 0:
        raise InvalidLimits("JIDO_SANDBOX_DISK or its warning is negative. Use 0 for no ceiling.")
    if limits.tmpfs_bytes < 0:
        raise InvalidLimits("JIDO_SANDBOX_TMPFS is negative. Use 0 for no temporary file system.")
