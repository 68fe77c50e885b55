"""/session: opening, closing and naming tabs.

Owns the words around the api's session calls.
"""

from __future__ import annotations

import os

from tui.commands.desk import Desk, find_session
from tui.commands.parse import Line, UsageError, nearest, take_option
from tui.state.outcomes import (
    Asked,
    Focused,
    SessionChanged,
    SessionGone,
    SessionOpened,
)
from tui.state.session import SessionState

USAGE = (
    "/session new [path] [--name N] · list · switch <n|name|id> · close [target] · "
    "rename <name> · save · restart"
)


async def session(desk: Desk, line: Line) -> None:
    """Run one of the subcommands."""
    word = line.arguments[0].lower() if line.arguments else ""
    rest = line.arguments[1:]
    known = {
        "new": _new,
        "list": _list,
        "switch": _switch,
        "close": _close,
        "rename": _rename,
        "save": _save,
        "restart": _restart,
    }
    if word not in known:
        hint = nearest(word, known) if word else ""
        question = f"“{word}” is unknown; did you mean /session {hint}?  " if hint else ""
        raise UsageError(f"{question}{USAGE}")
    await known[word](desk, rest)


async def _new(desk: Desk, arguments: tuple[str, ...]) -> None:
    name, words = take_option(arguments, "--name", "-n")
    if len(words) > 1:
        raise UsageError("One path, please; put quotes around a path with blanks.")
    path = absolute(words[0] if words else "", desk.workspace.project_path)
    record = await desk.api.create(path, name or None)
    desk.tell(SessionOpened(record))


def absolute(path: str, start: str) -> str:
    """Return `path` in full, seen from `start`; `~` is the home directory."""
    base = start or os.getcwd()
    return os.path.normpath(os.path.join(base, os.path.expanduser(path)))


async def _list(desk: Desk, arguments: tuple[str, ...]) -> None:
    workspace = desk.workspace
    if not workspace.sessions:
        raise UsageError("No session is open. /session new opens this directory.")
    rows = ["| | | state | directory | model |", "|-|-|-|-|-|"]
    for entry in workspace.order:
        mark = "▸" if entry.id == workspace.active_id else ""
        name = f"{workspace.number_of(entry)}:{escape(entry.name)}"
        path = escape(workspace.short_path(entry.project_path))
        rows.append(
            f"| {mark} | {name} | {state(entry)} | {path} | {escape(entry.qualified_model)} |"
        )
    desk.explain("\n".join(rows))


def escape(text: str) -> str:
    """Return `text` for a cell of a Markdown table."""
    return "".join("\\" + c if c in "|*_`[]<>\\~#" else c for c in text)


def state(entry: SessionState) -> str:
    """Return what a session is doing, in a word or two."""
    if entry.status != "ready":
        return entry.status
    return "needs you" if entry.activity == "awaiting_approval" else entry.activity


async def _switch(desk: Desk, arguments: tuple[str, ...]) -> None:
    if not arguments:
        raise UsageError("/session switch <n|name|id>")
    desk.tell(Focused(find_session(desk.workspace, " ".join(arguments)).id))


async def _close(desk: Desk, arguments: tuple[str, ...]) -> None:
    sure = "--yes" in arguments
    words = [word for word in arguments if word != "--yes"]
    entry = find_session(desk.workspace, " ".join(words)) if words else desk.session()
    if entry.busy and not sure:
        text = f"“{entry.name}” is working. Close it and stop the turn?"
        desk.tell(Asked(text, f"/session close {entry.id} --yes"))
        return
    last = len(desk.workspace.sessions) == 1
    await desk.api.close(entry.id)
    desk.tell(SessionGone(entry.id))
    if not last:
        desk.say(f"Closed “{entry.name}”. /resume brings a saved session back.", "info")


async def _rename(desk: Desk, arguments: tuple[str, ...]) -> None:
    name = " ".join(arguments)
    if not name.strip():
        raise UsageError("/session rename <name>")
    entry = desk.session()
    record = await desk.api.update(entry.id, {"name": name})
    desk.tell(SessionChanged(record))
    desk.say(f"Renamed: {record.get('name', name)}.")


async def _save(desk: Desk, arguments: tuple[str, ...]) -> None:
    entry = desk.session()
    await desk.api.save(entry.id)
    if entry.empty:
        desk.say("There is nothing to save yet; every turn is saved as it ends.", "info")
    else:
        desk.say(f"Saved: “{entry.name}”. Every turn is saved as it ends, too.")


async def _restart(desk: Desk, arguments: tuple[str, ...]) -> None:
    entry = desk.session()
    desk.tell(SessionChanged(await desk.api.restart(entry.id)))
