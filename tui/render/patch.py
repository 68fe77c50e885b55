"""A unified diff as rows.

Owns its colours and line marks; long lines are cut, since a diff is read down its left edge.
"""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size
from rich.style import Style

from tui.render.palette import Palette
from tui.render.rows import Row, styled
from tui.state.items import Patch

MAX_LINES = 2000
"""Lines of one diff that are shown."""


def patch_rows(item: Patch, palette: Palette, width: int) -> list[Row]:
    """Return the lines of a diff in colours."""
    lines = item.text.expandtabs(4).splitlines()
    rows = [_line(line, palette, width) for line in lines[:MAX_LINES]]
    if item.truncated or len(lines) > MAX_LINES:
        rows.append(styled(("… the rest is left out", Style(color=palette.dim))))
    return rows


def _line(line: str, palette: Palette, width: int) -> Row:
    text = set_cell_size(line, width) if cell_len(line) > width else line
    return styled((text, _style(line, palette)))


def _style(line: str, palette: Palette) -> Style:
    if line.startswith(("diff ", "index ", "--- ", "+++ ", "new file", "deleted file")):
        return Style(color=palette.text, bold=line.startswith("+++ "), dim=line.startswith("index"))
    if line.startswith("@@"):
        return Style(color=palette.dim)
    if line.startswith("+"):
        return Style(color=palette.good, bgcolor=palette.added)
    if line.startswith("-"):
        return Style(color=palette.bad, bgcolor=palette.removed)
    return Style(color=palette.dim)
