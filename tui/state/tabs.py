"""The labels of the tabs.

Owns the marks and how labels shrink when room is short: names first, then all but the digit.
"""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size

from tui.state.session import SessionState
from tui.state.workspace import Workspace

NAME_CELLS = 15
"""Columns of a name in a tab at most."""


@dataclass(frozen=True, slots=True)
class Tab:
    """One tab as it is shown."""

    session_id: str
    mark: str
    tone: str
    """Colour role of the mark: faint, accent, warn, bad or good."""
    label: str
    active: bool
    unread: bool

    @property
    def cells(self) -> int:
        """Columns it takes, with the blanks around it."""
        return cell_len(self.label) + 4 + (2 if self.unread else 0)


def mark_of(session: SessionState) -> tuple[str, str]:
    """Return the status mark and its colour role."""
    if session.status == "failed" or session.link == "refused":
        return "✗", "bad"
    if session.asks or session.activity == "awaiting_approval":
        return "?", "warn"
    if session.status in ("starting", "restarting", "closing"):
        return "◌", "accent"
    if session.warned:
        return "!", "warn"
    if session.busy:
        return "●", "accent"
    return "○", "faint"


def tabs(workspace: Workspace, width: int) -> list[Tab]:
    """Return the tabs that fit `width` columns, the active one always among them."""
    made = _made(workspace, NAME_CELLS)
    for cells in (NAME_CELLS, 8, 4, 0):
        made = _made(workspace, cells)
        if sum(tab.cells for tab in made) <= width:
            return made
    active = next((i for i, tab in enumerate(made) if tab.active), 0)
    start = end = active
    used = made[active].cells if made else 0
    while made:
        if end + 1 < len(made) and used + made[end + 1].cells <= width:
            end += 1
            used += made[end].cells
        elif start > 0 and used + made[start - 1].cells <= width:
            start -= 1
            used += made[start].cells
        else:
            break
    return made[start : end + 1]


def _made(workspace: Workspace, cells: int) -> list[Tab]:
    made = []
    for session in workspace.order:
        mark, tone = mark_of(session)
        active = session.id == workspace.active_id
        digit = workspace.number_of(session)
        number = str(digit) if digit >= 0 else "·"
        name = _cut(workspace.shown_name(session), NAME_CELLS if active and cells else cells)
        label = f"{number}:{name}" if name else number
        made.append(Tab(session.id, mark, tone, label, active, session.unread > 0 and not active))
    return made


def _cut(name: str, cells: int) -> str:
    if cell_len(name) <= cells:
        return name
    return set_cell_size(name, cells - 1).rstrip() + "…" if cells > 1 else ""
