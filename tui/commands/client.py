"""/cost, /theme, /export, /help and /quit: the client itself.

Owns the help text's frame; its rows come from the catalogue.
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

from orchestrator.domain.limits import MAX_IMPORT_BYTES
from tui.commands.desk import Desk
from tui.commands.parse import Line, UsageError, nearest, take_option
from tui.commands.sessions import absolute, escape
from tui.render.palette import PALETTES
from tui.state import fields
from tui.state.outcomes import SavedListed
from tui.state.tool_words import count, money


async def cost(desk: Desk, line: Line) -> None:
    """Show tokens and money of all open sessions."""
    workspace = desk.workspace
    desk.session()
    rows = ["| session | model | in | out | cost |", "|-|-|-:|-:|-:|"]
    for entry in workspace.order:
        usage = entry.usage
        price = money(usage.cost_usd) or "not known"
        rows.append(
            f"| {workspace.number_of(entry)}:{escape(workspace.shown_name(entry))} | "
            f"{escape(entry.qualified_model)} | {count(usage.input_tokens)} | "
            f"{count(usage.output_tokens)} | {price} |"
        )
    desk.explain("\n".join(rows))


async def theme(desk: Desk, line: Line) -> None:
    """Choose the colours, or take the next ones."""
    names = list(PALETTES)
    if not line.arguments:
        place = names.index(desk.theme()) if desk.theme() in names else -1
        desk.choose_theme(names[(place + 1) % len(names)])
        return
    wanted = line.arguments[0].replace("-", "_")
    if wanted not in names:
        hint = nearest(wanted, names)
        raise UsageError(
            f"Themes: {', '.join(names)}." + (f" Did you mean {hint}?" if hint else "")
        )
    desk.choose_theme(wanted)


async def export(desk: Desk, line: Line) -> None:
    """Write the session as one portable document."""
    entry = desk.session()
    words = [word for word in line.arguments if word != "--redact"]
    if len(words) > 1:
        raise UsageError("/export [file] [--redact]; put quotes around a name with blanks.")
    path = Path(absolute(words[0] if words else f"jido-{entry.id[:8]}.json", entry.project_path))
    document = await desk.api.export(entry.id, redacts="--redact" in line.arguments)
    try:
        await asyncio.to_thread(_write_new, path, document)
    except FileExistsError:
        raise UsageError(f"{path} exists already; name another file.") from None
    except OSError as fault:
        raise UsageError(f"{path} cannot be written: {fault.strerror or fault}.") from None
    desk.say(f"Exported: {desk.workspace.short_path(str(path))}.")


async def take_in(desk: Desk, line: Line) -> None:
    """Save a portable document as a session to be resumed."""
    project, words = take_option(line.arguments, "--project")
    if len(words) != 1:
        raise UsageError("/import FILE [--project PATH]; put quotes around a name with blanks.")
    active = desk.workspace.active
    start = active.project_path if active else desk.workspace.project_path
    path = Path(absolute(words[0], start))
    try:
        document = await asyncio.to_thread(_read, path)
    except OSError as fault:
        raise UsageError(f"{path} cannot be read: {fault.strerror or fault}.") from None
    except ValueError:
        raise UsageError(f"{path} is no document of a session.") from None
    record = await desk.api.take_in(document, absolute(project, start) if project else "")
    desk.tell(SavedListed([]))
    desk.say(f"Imported: “{fields.label(record, 'name')}”. /resume lists it.")


def _read(path: Path) -> object:
    with path.open("rb") as file:
        raw = file.read(MAX_IMPORT_BYTES + 1)
    if len(raw) > MAX_IMPORT_BYTES:
        raise ValueError
    return json.loads(raw)


def _write_new(path: Path, document: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(document)


async def leave(desk: Desk, line: Line) -> None:
    """End the client; sessions go on at the server."""
    desk.leave()
