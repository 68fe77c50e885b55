"""The events that tell a session of a limit its sandbox has met.

Owns their codes and words. Everything in them is ours: a sandbox contributes numbers only.
"""

from __future__ import annotations

from typing import Literal

from orchestrator.domain.events import NewEvent
from orchestrator.domain.sizes import size_words
from orchestrator.sandboxes.interior import MAX_OPEN_FILES
from orchestrator.services.story import notice
from orchestrator.store.intents import SandboxIntent
from orchestrator.supervisor.limit_counts import Disk, DiskState, Kind


def limit_event(kind: Kind, count: int, intent: SandboxIntent) -> NewEvent:
    """Return the event for `count` hits of one limit of a sandbox that lives on."""
    if kind == "memory":
        return _memory(count, intent)
    if kind == "cpu":
        return _notice(
            "info",
            "sandbox_cpu_limit",
            f"The sandbox has been at its limit of {_processors(intent.cpus)} for several seconds: "
            "what runs there is slower, nothing was ended. JIDO_SANDBOX_CPUS raises it.",
            count,
        )
    if kind == "pids":
        return _notice(
            "warning",
            "sandbox_pids_limit",
            f"The sandbox reached its limit of {intent.pids} processes, and no further one was "
            "started. JIDO_SANDBOX_PIDS raises it.",
            count,
        )
    return _notice(
        "warning",
        "sandbox_files_limit",
        f"A process of the sandbox reached the limit of {MAX_OPEN_FILES} open files, which is "
        "fixed: until it closes some it can open no other.",
        count,
    )


def disk_event(what: DiskState | Literal["low"], disk: Disk, intent: SandboxIntent) -> NewEvent:
    """Return the event for a project's disk, which has become `what`."""
    added, allowed = size_words(disk.added), size_words(intent.disk_bytes)
    if what == "full":
        return notice(
            "error",
            "sandbox_disk_full",
            f"The session has added {added} to its project, more than the {allowed} it may. What "
            "ran was ended and writing is refused until files are removed. JIDO_SANDBOX_DISK "
            "raises it.",
        )
    if what == "warning":
        ceiling = f"; {allowed} is what it may" if intent.disk_bytes else ""
        text = f"The session has added {added} to its project{ceiling}."
        return notice("warning", "sandbox_disk_warning", text)
    if what == "low":
        text = f"Only {size_words(disk.free)} is free on the file system of the project."
        return notice("warning", "sandbox_disk_low", text)
    text = f"The session has now added {added} to its project; it can write as before."
    return notice("info", "sandbox_disk_freed", text)


def _memory(count: int, intent: SandboxIntent) -> NewEvent:
    what = "A process was" if count == 1 else f"{count} processes were"
    detail = (
        f"{what} killed: the sandbox's memory limit of {size_words(intent.memory_bytes)} was "
        "reached. JIDO_SANDBOX_MEMORY raises it."
    )
    data = {
        "reason": "oom",
        "sandbox": "alive",
        "count": count,
        "exit_code": None,
        "detail": detail,
        "restarting": False,
    }
    return NewEvent(type="sandbox.oom", data=data)


def _processors(count: float) -> str:
    return "1 processor" if count == 1 else f"{count:g} processors"


def _notice(level: Literal["info", "warning"], code: str, text: str, count: int) -> NewEvent:
    told = notice(level, code, text)
    return NewEvent(type=told.type, data={**told.data, "count": count})
