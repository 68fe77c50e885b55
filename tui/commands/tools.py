"""/lua --tools: the project's own tools, and which of them are trusted.

Owns the table. Refuses to trust anything: that is `jido trust`, outside.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tui.commands.desk import Desk
from tui.commands.sessions import escape
from tui.state import fields

WORDS = ("--tools", "tools")
"""What asks for the list instead of running a script."""


async def tools(desk: Desk) -> None:
    """Show the project's own tools."""
    found = await desk.api.tools(desk.session().id)
    if not found:
        desk.say("The project has no tools of its own in .jido_code/tools.", "info")
        return
    rows = ["| tool | | |", "|-|-|-|", *(_row(tool) for tool in found)]
    rows.append("\n`/lua return jido.tools.NAME{ key = value }` calls one that is trusted.")
    desk.explain("\n".join(rows))


def _row(tool: Mapping[str, Any]) -> str:
    # In full: a reason ends with the command that mends it.
    reason = " ".join(fields.text(tool, "reason").split())
    state = "trusted" if not reason else "not usable" if tool.get("trusted") else "not trusted"
    said = reason or " ".join(fields.text(tool, "description").split())
    return f"| {escape(fields.label(tool, 'name'))} | {state} | {escape(said)} |"
