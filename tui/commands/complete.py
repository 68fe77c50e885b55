"""What could complete the word under the cursor.

Owns when a completion is offered: a slash at the start of the prompt, an `@` before a word.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from tui.commands.catalogue import BY_NAME, COMMANDS

_FILE: Final = re.compile(r"(?:^|(?<=\s))@([^\s@]{0,200})$")


@dataclass(frozen=True, slots=True)
class Choice:
    """One entry of the popup."""

    insert: str
    """What replaces the word."""
    label: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the word under the cursor asks for."""

    kind: Literal["command", "file"]
    word: str
    start: int
    """Place of the word in the text before the cursor."""


def wanted(before: str) -> Wanted | None:
    """Return what the text before the cursor asks for; None when nothing is offered."""
    if before.startswith("/") and "\n" not in before:
        head, blank, rest = before.partition(" ")
        if not blank and "/" not in head[1:]:
            return Wanted("command", head[1:], 0)
        command = BY_NAME.get(head[1:].lower())
        if command is not None and command.words and blank and " " not in rest:
            return Wanted("command", before[1:], 0)
    if match := _FILE.search(before):
        return Wanted("file", match[1], match.start())
    return None


def commands_for(word: str) -> list[Choice]:
    """Return the commands, or subcommands, that begin like `word`."""
    head, blank, rest = word.partition(" ")
    if blank:
        command = BY_NAME[head.lower()]
        return [
            Choice(f"/{head} {sub} ", f"/{head} {sub}")
            for sub in command.words
            if sub.startswith(rest.lower()) and sub != rest
        ]
    starts = [c for c in COMMANDS if c.name.startswith(head.lower())]
    return [
        Choice(f"/{c.name}" + (" " if c.arguments else ""), f"/{c.name}", c.summary) for c in starts
    ]


def files_for(names: list[str]) -> list[Choice]:
    """Return files as choices; a name with blanks is quoted."""
    return [Choice(f'@"{n}" ' if " " in n else f"@{n} ", n) for n in names[:50]]
