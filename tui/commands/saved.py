"""/resume: sessions on disk.

Owns how they are listed and meant: by the number of the list shown, or by identifier.
"""

from __future__ import annotations

from typing import Final

from orchestrator.domain.targets import Named, find_saved
from tui.client import Refused, Unreachable
from tui.commands.desk import Desk
from tui.commands.parse import Line, UsageError, nearest, take_option
from tui.commands.sessions import absolute, escape
from tui.state.ages import age
from tui.state.outcomes import (
    Asked,
    OfferDismissed,
    Replacing,
    SavedListed,
    SessionOpened,
    SessionsListed,
)
from tui.state.workspace import Saved

FORMS: Final = ("[n|id] [--project PATH]", "delete <n|id>", "clear")
"""Every form, as help and usage show it."""

USAGE: Final = " · ".join(f"/resume {form}" for form in FORMS)


async def resume(desk: Desk, line: Line) -> None:
    """List, resume, delete one or delete all."""
    words = line.arguments
    if not words:
        await _list(desk)
    elif words[0] == "delete":
        await _delete(desk, words[1:])
    elif words[0] == "clear":
        await _clear(desk, sure="--yes" in words)
    elif len(words) > 1 and (meant := nearest(words[0], ("delete", "clear"))):
        raise UsageError(f"“{words[0]}” is unknown; did you mean /resume {meant}?  {USAGE}")
    else:
        project, rest = take_option(words, "--project")
        await _resume(desk, " ".join(rest), project)


async def _fresh(desk: Desk) -> list[Saved]:
    live = set(desk.workspace.sessions)
    saved = [entry for entry in await desk.api.saved() if entry.id not in live]
    desk.tell(SavedListed(saved))
    return saved


async def _list(desk: Desk) -> None:
    saved = await _fresh(desk)
    if not saved:
        desk.say("No saved sessions. A session with at least one turn is saved by itself.", "info")
        return
    rows = ["| | session | directory | turns | last used |", "|-:|-|-|-:|-|"]
    for number, entry in enumerate(saved, 1):
        when = (
            f"cannot be read: {escape(entry.error)}"
            if entry.error
            else age(desk.now() - entry.updated, entry.updated)
        )
        path = escape(desk.workspace.short_path(entry.project_path))
        rows.append(f"| {number} | {escape(entry.name)} | {path} | {entry.turns} | {when} |")
    rows.append("\n`/resume n` opens one.")
    desk.explain("\n".join(rows))


async def _resume(desk: Desk, target: str, project: str | None) -> None:
    entry = await _find(desk, target)
    path = absolute(project, desk.workspace.project_path) if project else ""
    active = desk.workspace.active
    replaces = ""
    if active is not None and active.empty and not active.busy:
        replaces = active.id if active.project_path == (path or entry.project_path) else ""
    # The tab stays in its place although the session in it is closed by the resume.
    desk.tell(Replacing(replaces))
    try:
        record = await desk.api.resume(entry.id, replaces, path)
    except (Refused, Unreachable):
        desk.tell(Replacing(""))
        if replaces:
            desk.tell(SessionsListed(await desk.api.sessions()))
        raise
    desk.tell(OfferDismissed())
    desk.tell(SessionOpened(record, replaces=replaces))


async def _delete(desk: Desk, words: tuple[str, ...]) -> None:
    sure = "--yes" in words
    targets = [word for word in words if word != "--yes"]
    if not targets:
        raise UsageError("/resume delete <n|id>")
    entry = await _find(desk, " ".join(targets))
    if not sure:
        text = f"Delete the saved session “{entry.name}” for good?"
        desk.tell(Asked(text, f"/resume delete {entry.id} --yes"))
        return
    await desk.api.delete_saved(entry.id)
    offer = desk.workspace.offer
    if offer is not None and offer.id == entry.id:
        desk.tell(OfferDismissed())
    desk.say(f"Deleted: the saved session “{entry.name}”.")


async def _clear(desk: Desk, *, sure: bool) -> None:
    saved = await _fresh(desk)
    if not saved:
        desk.say("There are no saved sessions.", "info")
        return
    count = f"all {len(saved)} saved sessions" if len(saved) > 1 else "the one saved session"
    if not sure:
        desk.tell(Asked(f"Delete {count} for good?", "/resume clear --yes"))
        return
    for entry in saved:
        await desk.api.delete_saved(entry.id)
    desk.tell(SavedListed([]))
    desk.say(f"Deleted: {count}.")


async def _find(desk: Desk, target: str) -> Saved:
    """Return the saved session meant; numbers count in the list shown last."""
    listed = desk.workspace.saved if target.isdecimal() else []
    saved = listed or await _fresh(desk)
    return find_saved(target, saved, lambda entry: Named(entry.id, entry.name))
