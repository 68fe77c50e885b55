"""The stack's processes as the kernel counts them: memory and processor time by part.

Owns which process belongs to which part. A process that has just ended counts as nothing;
its processor time is then its parent's.
"""

from __future__ import annotations

import os
from pathlib import Path

_PARTS = {"supervise": "supervisor", "work": "worker", "serve": "api"}
"""A word of a process's command line, and the part it is."""


def parts(stack: int) -> dict[str, list[int]]:
    """Return the processes of each part of the stack whose process is `stack`."""
    found = {"stack": [stack]}
    children = _children()
    for child in children.get(stack, []):
        words = _read(child, "cmdline").split("\0")
        name = next((part for word, part in _PARTS.items() if word in words), "valkey")
        found[name] = _family(child, children)
    return found


def pss_mib(pid: int) -> float:
    """Return the proportional set size in MiB: a page that n processes share counts 1/n."""
    lines = _read(pid, "smaps_rollup").splitlines()
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), 0.0)


def processor_ms(pid: int) -> float:
    """Return the milliseconds of processor time of a process and its ended children."""
    fields = _read(pid, "stat").rpartition(")")[2].split()
    return sum(int(each) for each in fields[11:15]) * 1000 / os.sysconf("SC_CLK_TCK")


def _family(pid: int, children: dict[int, list[int]]) -> list[int]:
    return [pid, *(each for child in children.get(pid, []) for each in _family(child, children))]


def _children() -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        fields = _read(int(entry), "stat").rpartition(")")[2].split() if entry.isdecimal() else []
        if len(fields) > 1:
            found.setdefault(int(fields[1]), []).append(int(entry))
    return found


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text(errors="replace")
    except OSError:
        return ""
