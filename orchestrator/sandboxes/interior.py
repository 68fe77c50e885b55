"""What every sandbox has alike inside and in its name, whatever runtime makes it."""

from __future__ import annotations

import json
from typing import Final

from orchestrator.domain.ids import short
from orchestrator.sandboxes.runtime import SandboxSpec

MAX_OPEN_FILES: Final = 4096
"""Open files of one process in a sandbox."""

SEARCH_PATH: Final = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
"""Where a sandbox looks for programs."""

READ_ONLY_PROC: Final = (
    "acpi",
    "asound",
    "bus",
    "cpu",
    "driver",
    "fs",
    "irq",
    "mtrr",
    "pressure",
    "scsi",
    "sys",
    "tty",
)
"""Places of /proc where a file's owner, root, may change the machine without any capability."""

HIDDEN_PROC: Final = (
    "buddyinfo",
    "config.gz",
    "iomem",
    "ioports",
    "kallsyms",
    "kcore",
    "key-users",
    "keys",
    "kmsg",
    "kpagecgroup",
    "kpagecount",
    "kpageflags",
    "latency_stats",
    "pagetypeinfo",
    "sched_debug",
    "slabinfo",
    "sysrq-trigger",
    "timer_list",
    "timer_stats",
    "vmallocinfo",
)
"""Files of /proc that tell of the kernel or of others, some of them to root alone."""

HIDDEN_SYS: Final = (
    "devices/virtual/powercap",
    "firmware",
    "fs/bpf",
    "kernel/debug",
    "kernel/notes",
    "kernel/security",
    "kernel/tracing",
)
"""The same beneath /sys, where a runtime shows it at all."""


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


def allowance(spec: SandboxSpec) -> str:
    """Return what the tool server is told of its limits, so that it can name them."""
    limits = spec.limits
    counts = {
        "memory_bytes": limits.memory_bytes,
        "pids": limits.pids,
        "disk_bytes": limits.disk_bytes,
        "disk_warning_bytes": limits.disk_warning_bytes,
    }
    if spec.disk_baseline is not None:
        counts["disk_baseline"] = spec.disk_baseline
    return json.dumps(counts)
