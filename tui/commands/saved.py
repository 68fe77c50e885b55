"""/resume: sessions on disk.

Owns how they are listed and meant: by the number of the list shown, or by identifier.
"""

from __future__ import annotations

from datetime import datetime

from tui.commands.desk import Desk
from tui.commands.parse import Line, UsageError
from tui.commands.sessions import escape
from tui.state.outcomes import Asked, OfferDismissed, SavedListed, SessionOpened
from tui.state.workspace import Saved


async def resume(desk: Desk, line: Line) -> None:
    """List, resume, delete one or delete all."""
    words = line.arguments
    if not words:
        await _list(desk)
    elif words[0] == "delete":
        await _delete(desk, words[1:])
    elif words[0] == "clear":
        await _clear(desk, sure="--yes" in words)
    elif len(words) == 1:
        await _resume(desk, words[0])
    else:
        raise UsageError("/resume [n|id] · /resume delete <n|id> · /resume clear")


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


async def _resume(desk: Desk, target: str) -> None:
    entry = await _find(desk, target)
    record = await desk.api.resume(entry.id)
    active = desk.workspace.active
    replaces = ""
    if active is not None and active.empty and not active.busy:
        replaces = active.id if active.project_path == entry.project_path else ""
    desk.tell(OfferDismissed())
    desk.tell(SessionOpened(record, replaces=replaces))


async def _delete(desk: Desk, words: tuple[str, ...]) -> None:
    if len(words) != 1:
        raise UsageError("/resume delete <n|id>")
    entry = await _find(desk, words[0])
    await desk.api.delete_saved(entry.id)
    desk.tell(SavedListed([s for s in desk.workspace.saved if s.id != entry.id]))
    desk.say(f"Deleted: the saved session “{entry.name}”.")


async def _clear(desk: Desk, *, sure: bool) -> None:
    saved = await _fresh(desk)
    if not saved:
        desk.say("No saved sessions.", "info")
        return
    if not sure:
        text = f"Delete all {len(saved)} saved sessions for good?"
        desk.tell(Asked(text, "/resume clear --yes"))
        return
    for entry in saved:
        await desk.api.delete_saved(entry.id)
    desk.tell(SavedListed([]))
    desk.say(f"Deleted: {len(saved)} saved sessions.")


async def _find(desk: Desk, target: str) -> Saved:
    """Return the saved session meant; numbers count in the list shown last."""
    saved = desk.workspace.saved or await _fresh(desk)
    by_id = [s for s in saved if s.id == target or (len(target) >= 6 and s.id.startswith(target))]
    if len(by_id) == 1:
        return by_id[0]
    if target.isdecimal() and 1 <= int(target) <= len(saved):
        return saved[int(target) - 1]
    if not saved:
        raise UsageError("There are no saved sessions.")
    valid = "1" if len(saved) == 1 else f"1 to {len(saved)}"
    raise UsageError(f"“{target}” is no saved session. Use {valid}, or an identifier.")


def age(seconds: float, moment: float) -> str:
    """Return how long ago something was."""
    minutes = int(max(0.0, seconds) // 60)
    if minutes < 1:
        return "just now"
    if minutes < 60:
        return f"{minutes} min ago"
    hours = minutes // 60
    if hours < 24:
        return f"{hours} h ago"
    if hours < 48:
        return "yesterday"
    if hours < 24 * 14:
        return f"{hours // 24} days ago"
    return datetime.fromtimestamp(moment).astimezone().date().isoformat()
