"""Which keys reach the client on this terminal.

Owns the guess, from the environment, whether the terminal speaks the Kitty keyboard protocol,
and the certainty that comes with the first key only it can send. Refuses to ask the terminal:
a late answer would be read as typing.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from textual._ansi_sequences import ANSI_SEQUENCES_KEYS

_TERMS: Final = ("xterm-kitty", "xterm-ghostty", "foot", "foot-extra", "rio")
_PROGRAMS: Final = ("ghostty", "WezTerm", "iTerm.app", "rio", "kitty")
_ONLY_KITTY: Final = frozenset(
    {f"ctrl+{digit}" for digit in "1234567890"} | {"shift+enter", "ctrl+tab", "ctrl+shift+tab"}
)


class _Claimed(Enum):
    """Keys that Textual's table reads as others, under the names its parser gives keys."""

    ALT_0 = "alt+0"
    ALT_1 = "alt+1"
    ALT_2 = "alt+2"
    ALT_3 = "alt+3"
    ALT_4 = "alt+4"
    ALT_5 = "alt+5"
    ALT_6 = "alt+6"
    ALT_7 = "alt+7"
    ALT_8 = "alt+8"
    ALT_9 = "alt+9"
    ALT_BACKSPACE = "alt+backspace"


def claim_alt_keys() -> None:
    """Have Escape and a digit, sent together, mean Alt with that digit; likewise Backspace.

    Textual's table reads the digits as the letters a Macintosh types with its Option key, which
    cannot be told from those letters typed for themselves, and Alt+Backspace as Ctrl+W, which
    closes a session here.
    """
    table: dict[str, Any] = ANSI_SEQUENCES_KEYS  # type: ignore[assignment]
    for key in _Claimed:
        name = key.value.removeprefix("alt+")
        table["\x1b\x7f" if name == "backspace" else f"\x1b{name}"] = (key,)


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
