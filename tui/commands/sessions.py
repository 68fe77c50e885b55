"""/session: opening, closing and naming tabs.

Owns the words around the api's session calls.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Final

from tui.client import Refused
from tui.commands.desk import Desk, find_session
from tui.commands.parse import Line, UsageError, nearest, take_option
from tui.state import fields
from tui.state.outcomes import (
    Asked,
    Closing,
    Focused,
    SessionChanged,
    SessionGone,
    SessionOpened,
    Told,
)
from tui.state.session import SessionState

FORMS: Final = (
    "new [path] [--name N]",
    "list",
    "switch <n|name|id>",
    "close [target]",
    "rename <name>",
    "save",
    "restart",
)
"""Every form, as help and usage show it."""

USAGE: Final = "/session " + " · ".join(FORMS)


async def session(desk: Desk, line: Line) -> None:
    """Run one of the subcommands."""
    word = line.arguments[0].lower() if line.arguments else ""
    rest = line.arguments[1:]
    if word not in SUBCOMMANDS:
        hint = nearest(word, SUBCOMMANDS) if word else ""
        question = f"“{word}” is unknown; did you mean /session {hint}?  " if hint else ""
        raise UsageError(f"{question}{USAGE}")
    await SUBCOMMANDS[word](desk, rest)


async def _new(desk: Desk, arguments: tuple[str, ...]) -> None:
    name, words = take_option(arguments, "--name", "-n")
    if len(words) > 1:
        raise UsageError("One path, please; put quotes around a path with blanks.")
    path = absolute(words[0] if words else "", desk.workspace.project_path)
    record = await desk.api.create(path, name)
    desk.tell(SessionOpened(record))


def absolute(path: str, start: str) -> str:
    """Return `path` in full, seen from `start`; `~` is the home directory."""
    base = start or os.getcwd()
    return os.path.normpath(os.path.join(base, os.path.expanduser(path)))


async def _list(desk: Desk, arguments: tuple[str, ...]) -> None:
    _none(arguments, "list")
    workspace = desk.workspace
    if not workspace.sessions:
        raise UsageError("No session is open. /session new opens this directory.")
    rows = ["| | | state | directory | model |", "|-|-|-|-|-|"]
    for entry in workspace.order:
        mark = "▸" if entry.id == workspace.active_id else ""
        name = f"{workspace.number_of(entry)}:{escape(workspace.shown_name(entry))}"
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
    name = desk.workspace.shown_name(entry)
    last = len(desk.workspace.sessions) == 1
    if not sure and (entry.busy or (last and not entry.empty)):
        why = (
            "is working. Close it and stop the turn?"
            if entry.busy
            else "is the last one. Close it?"
        )
        desk.tell(Asked(f"“{name}” {why}", f"/session close {entry.id} --yes"))
        return
    empty = entry.empty
    desk.tell(Closing(entry.id))
    try:
        await desk.api.close(entry.id)
    except Refused as refused:
        if refused.status != 404:
            desk.tell(Closing(entry.id, begun=False))
            raise
    desk.tell(SessionGone(entry.id))
    if last:
        # The empty screen says what can be done now.
        return
    kept = "Nothing was said in it, so nothing was saved." if empty else "/resume brings it back."
    # Told on the tab that is on screen then: the closed one cannot show it.
    desk.tell(Told("", "info", f"Closed: “{name}”. {kept}"))


async def _rename(desk: Desk, arguments: tuple[str, ...]) -> None:
    name = " ".join(arguments)
    if not arguments:
        raise UsageError("/session rename <name>")
    entry = desk.session()
    record = await desk.api.update(entry.id, {"name": name})
    desk.tell(SessionChanged(record))
    desk.say(f"Renamed: “{fields.label(record, 'name')}”.")


async def _save(desk: Desk, arguments: tuple[str, ...]) -> None:
    _none(arguments, "save")
    outcome = await desk.api.save(desk.session().id)
    saved = outcome.get("saved") is True
    desk.say(fields.text(outcome, "detail"), "success" if saved else "info")


async def _restart(desk: Desk, arguments: tuple[str, ...]) -> None:
    _none(arguments, "restart")
    entry = desk.session()
    desk.tell(SessionChanged(await desk.api.restart(entry.id)))


def _none(arguments: tuple[str, ...], word: str) -> None:
    """Refuse words behind a subcommand that takes none."""
    if arguments:
        raise UsageError(f"/session {word} takes no arguments; it is about the tab on screen.")


SUBCOMMANDS: Final[dict[str, Callable[[Desk, tuple[str, ...]], Awaitable[None]]]] = {
    "new": _new,
    "list": _list,
    "switch": _switch,
    "close": _close,
    "rename": _rename,
    "save": _save,
    "restart": _restart,
}
"""What each first word of FORMS does."""
