"""Text from elsewhere, made safe to draw.

Owns the rule that no control character, escape sequence or direction override that came
over the wire reaches the terminal. Everything that is shown has passed through here.
"""

from __future__ import annotations

import re
from typing import Final

_SUSPECT: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff"
    "\ud800-\udfff\ufff9-\ufffb]"
)
_SEQUENCE: Final = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"
    r"|\x9b[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-Z\\^-~]"
)
_UNFINISHED: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b\x9c]{0,256}|[ -/]*)?\Z")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def sanitise(text: str) -> str:
    """Return `text` with nothing but printable characters, line feeds and tabs.

    Escape sequences vanish whole; a carriage return starts its line anew, as a terminal
    would show it; lone surrogates become the replacement character.
    """
    if _SUSPECT.search(text) is None:
        return text
    text = _SEQUENCE.sub("", text)
    if "\r" in text:
        text = "\n".join(_overwritten(line) for line in text.split("\n"))
    return _SUSPECT.sub("", _SURROGATE.sub("\ufffd", text))


def one_line(text: str, limit: int = 200) -> str:
    """Return `text` sanitised, on one line, of at most `limit` characters."""
    line = " ".join(sanitise(text[: limit * 4]).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _overwritten(line: str) -> str:
    return line.rstrip("\r").rpartition("\r")[2]


class StreamSanitiser:
    """Sanitises text that arrives in pieces, whatever the pieces cut in two."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        """Start with nothing held back."""
        self._held = ""

    def feed(self, piece: str) -> str:
        """Return what of `piece` can be shown; an unfinished escape sequence waits."""
        if not self._held and _SUSPECT.search(piece) is None:
            return piece
        text = self._held + piece
        unfinished = _UNFINISHED.search(text)
        self._held = unfinished.group() if unfinished else ""
        return sanitise(text[: len(text) - len(self._held)])
