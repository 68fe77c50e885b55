"""Keys that come before there is a prompt to take them.

Owns their order and their number. What a person types while the program starts is text for the
prompt; without this it would go to a screen that does not stand yet, and vanish.
"""

from __future__ import annotations

from typing import Final

from textual import events

MAX_KEPT: Final = 4096
"""Keys and pastes kept; what comes after is dropped, as a terminal's own buffer does."""


class EarlyKeys:
    """Keeps keys until it is opened."""

    def __init__(self) -> None:
        """Start closed."""
        self._kept: list[events.Event] | None = []

    def keep(self, event: events.Event) -> bool:
        """Take a key or a paste that nobody could use yet; False when it should go its way."""
        if self._kept is None or not isinstance(event, events.Key | events.Paste):
            return False
        if len(self._kept) < MAX_KEPT:
            self._kept.append(event)
        return True

    def open(self) -> list[events.Event]:
        """Return what was kept, in order, and keep nothing from now on."""
        kept, self._kept = self._kept or [], None
        return kept
