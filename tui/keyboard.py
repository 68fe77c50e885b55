"""Which keys reach the client on this terminal.

Owns the guess, from the environment, whether the terminal speaks the Kitty keyboard protocol,
and the certainty that comes with the first key only it can send. Refuses to ask the terminal:
a late answer would be read as typing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_TERMS: Final = ("xterm-kitty", "xterm-ghostty", "foot", "foot-extra", "rio")
_PROGRAMS: Final = ("ghostty", "WezTerm", "iTerm.app", "rio", "kitty")
_ONLY_KITTY: Final = frozenset(
    {f"ctrl+{digit}" for digit in "1234567890"} | {"shift+enter", "ctrl+tab", "ctrl+shift+tab"}
)


class Keyboard:
    """What is known of the terminal's keys."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Guess from the environment; inside a multiplexer keys arrive the old way."""
        multiplexed = "TMUX" in environment or environment.get("TERM", "").startswith("screen")
        named = environment.get("TERM", "") in _TERMS
        program = environment.get("TERM_PROGRAM", "") in _PROGRAMS
        self.extended = not multiplexed and (named or program or "KITTY_WINDOW_ID" in environment)
        """Whether Ctrl with digits, Ctrl+Tab and Shift+Enter arrive."""

    def saw(self, key: str) -> bool:
        """Learn from a key; say whether that changed what is known."""
        if self.extended or key not in _ONLY_KITTY:
            return False
        self.extended = True
        return True

    @property
    def tab_keys(self) -> str:
        """How to reach tabs by number."""
        return "ctrl+1…0" if self.extended else "alt+1…0"

    @property
    def newline_key(self) -> str:
        """How to break a line in the prompt."""
        return "shift+enter" if self.extended else "ctrl+j"
