"""Textual themes made of our palettes.

Owns the translation of roles; colours themselves are the palette's.
"""

from __future__ import annotations

from textual.theme import Theme

from tui.render.palette import PALETTES, Palette


def theme_of(palette: Palette) -> Theme:
    """Return the theme that gives Textual's own parts the palette's colours."""
    return Theme(
        name=palette.name,
        dark=palette.dark,
        primary=palette.accent,
        secondary=palette.faint,
        accent=palette.accent,
        foreground=palette.text,
        background=palette.background,
        surface=palette.raised,
        panel=palette.raised,
        success=palette.good,
        warning=palette.warn,
        error=palette.bad,
    )


THEMES = tuple(theme_of(palette) for palette in PALETTES.values())
