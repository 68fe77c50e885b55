"""Rows: the form in which everything is drawn.

Owns their type and the short ways to make them. Cheap to import, since it stands before the
first frame.
"""

from __future__ import annotations

from rich.segment import Segment
from rich.style import Style

Row = list[Segment]
"""One line of styled text, without the bar at its left and the padding at its right."""


def row_text(row: Row) -> str:
    """Return the characters of a row."""
    return "".join(segment.text for segment in row)


def styled(*parts: tuple[str, Style]) -> Row:
    """Return a row of text in styles."""
    return [Segment(text, style) for text, style in parts if text]
