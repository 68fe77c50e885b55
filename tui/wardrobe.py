"""Which colours the client wears.

Owns the order: what the person chose here, what the project on screen asks for, what the
settings say. Refuses to draw; names nobody knows are passed over.
"""

from __future__ import annotations

from tui.found import Found
from tui.render.palette import DARK, PALETTES


class Wardrobe:
    """The themes of one client."""

    def __init__(self, theme: str | None) -> None:
        """Begin with `theme`, until the settings say which one the person has."""
        self._own = _known(theme)
        self._kept = False

    def choose(self, name: str) -> None:
        """Wear `name` from now on, whatever projects ask for."""
        self._own, self._kept = name, True

    def take(self, found: Found) -> str:
        """Take the person's theme, unless another was chosen; return what is wrong with it."""
        if not self._kept:
            self._own, self._kept = _known(found.theme), found.keeps_theme
        if not found.theme or found.theme in PALETTES:
            return ""
        unknown = f"There is no theme “{found.theme}”, as the settings ask for."
        return f"{unknown} Themes: {', '.join(PALETTES)}."

    def wanted(self, asked: str) -> str:
        """Return the theme for a tab whose project asks for `asked`; empty asks for none."""
        return asked if asked in PALETTES and not self._kept else self._own


def _known(name: str | None) -> str:
    return name if name in PALETTES else DARK.name
