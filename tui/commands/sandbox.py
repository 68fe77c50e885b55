"""/shell, /lua and /diff: the person's own hands in the sandbox.

Owns their streaming into the transcript. The model does not see them.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any, Final

from tui.client import Refused, Unreachable
from tui.commands.desk import Desk
from tui.commands.parse import Line, UsageError
from tui.commands.tools import WORDS as TOOL_WORDS
from tui.commands.tools import tools
from tui.state import fields
from tui.state.items import Patch
from tui.state.outcomes import RunEnded, RunOutput, RunStarted, Shown

MAX_WARNINGS: Final = 10
"""Warnings shown of one answer."""


async def shell(desk: Desk, line: Line) -> None:
    """Run a command in the session's sandbox, its output streaming in."""
    if not line.rest:
        raise UsageError("/shell CMD, or !CMD, runs a command in the sandbox.")
    entry, run_id, started = desk.session(), uuid.uuid4().hex, desk.now()
    desk.tell(RunStarted(entry.id, run_id, line.rest, started))
    code, error = None, ""
    try:
        async for name, text, number in desk.api.execute(entry.id, line.rest):
            if name == "exit":
                code = number
            else:
                desk.tell(RunOutput(entry.id, run_id, text))
    except Refused as refused:
        error = refused.detail
    except Unreachable as fault:
        error = str(fault)
    if code is None and not error:
        error = "The output ended without an exit code."
    elapsed = (desk.now() - started) * 1000
    desk.tell(RunEnded(entry.id, run_id, code, error, elapsed))


async def lua(desk: Desk, line: Line) -> None:
    """Run a Lua script in the session's sandbox, after `--reset` in a fresh interpreter."""
    if not line.rest:
        raise UsageError(
            "/lua SCRIPT, for example /lua return jido.list_dir('.'). "
            "/lua --reset [SCRIPT] forgets what earlier scripts set, "
            "/lua --tools lists the project's own tools."
        )
    if line.rest.strip() in TOOL_WORDS:
        await tools(desk)
        return
    first, _, rest = line.rest.partition(" ")
    reset = first == "--reset"
    script = rest if reset else line.rest
    entry, run_id, started = desk.session(), uuid.uuid4().hex, desk.now()
    desk.tell(RunStarted(entry.id, run_id, f"lua {line.rest}", started))
    error, code, elapsed = "", None, 0.0
    try:
        outcome = await desk.api.lua(entry.id, script, reset=reset)
        code = 0 if outcome.get("ok") is True else 1
        desk.tell(RunOutput(entry.id, run_id, lua_text(outcome)))
        elapsed = fields.number(outcome, "elapsed_ms") or 0.0
    except Refused as refused:
        error = refused.detail
    except Unreachable as fault:
        error = str(fault)
    desk.tell(RunEnded(entry.id, run_id, code, error, elapsed))


def lua_text(outcome: Mapping[str, Any]) -> str:
    """Return what a script printed, returned, or failed with."""
    parts = [fields.raw(outcome, "output").rstrip("\n")]
    if outcome.get("value") is not None:
        parts.append("→ " + json.dumps(outcome["value"], ensure_ascii=False, indent=2))
    if error := fields.mapping(outcome, "error"):
        parts.append(f"{fields.label(error, 'code')}: {fields.text(error, 'message')}")
    return "\n".join(part for part in parts if part)


async def diff(desk: Desk, line: Line) -> None:
    """Show what changed since the session began."""
    entry = desk.session()
    answer = await desk.api.diff(entry.id)
    files = fields.objects(answer, "files")
    text = fields.text(answer, "text")
    for warning in fields.objects(answer, "warnings")[:MAX_WARNINGS]:
        desk.say(fields.label(warning, "text"), "warning")
    if not files and not text:
        desk.say("Nothing changed since the session began.", "info")
        return
    marks = {"added": "A", "modified": "M", "deleted": "D", "renamed": "R"}
    names = [f"{marks.get(fields.raw(f, 'status'), '?')} {fields.label(f, 'path')}" for f in files]
    desk.say(f"{len(files)} changed: " + ", ".join(names[:20]), "info")
    if text:
        desk.tell(Shown(entry.id, Patch(text=text, truncated=answer.get("truncated") is True)))
