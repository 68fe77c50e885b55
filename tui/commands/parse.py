"""From a line to a command.

Owns quoting (as in a shell) and the nearest name for one that is unknown.
"""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterable
from dataclasses import dataclass


class UsageError(Exception):
    """A command that cannot be understood; the text says how it is written."""


@dataclass(frozen=True, slots=True)
class Line:
    """A command line taken apart."""

    name: str
    """Without its slash, in lower case."""
    arguments: tuple[str, ...]
    """Words with their quotes resolved."""
    rest: str
    """Everything behind the name, as typed."""


def is_command(text: str) -> bool:
    """Say whether a prompt is meant for the client rather than the model.

    A slash counts only before a letter and when the first word holds no other slash, so that
    a prompt may begin with a path.
    """
    if text.startswith("!"):
        return bool(text[1:].strip())
    first = text.split(None, 1)[0] if text.strip() else ""
    return first[:1] == "/" and first[1:2].isalpha() and "/" not in first[1:]


def parse(text: str) -> Line:
    """Take a command line apart; raises UsageError for quotes that do not close."""
    if text.startswith("!"):
        rest = text[1:].strip()
        return Line("shell", (), rest)
    head, _, rest = text.strip().partition(" ")
    if "\n" in head:
        head, _, rest = text.strip().partition("\n")
    name = head.removeprefix("/").lower()
    if name in ("shell", "lua"):
        return Line(name, (), rest.strip())
    return Line(name, split(rest), rest.strip())


def split(text: str) -> tuple[str, ...]:
    """Return the words of `text` with quotes resolved as a shell does."""
    try:
        return tuple(shlex.split(text))
    except ValueError:
        raise UsageError("A quotation mark is not closed.") from None


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name most like `name`; empty when none is near."""
    names = list(known)
    starts = [candidate for candidate in names if candidate.startswith(name)]
    if len(starts) == 1:
        return starts[0]
    return next(iter(difflib.get_close_matches(name, names, n=1, cutoff=0.5)), "")


def take_option(
    arguments: tuple[str, ...], long: str, short: str = ""
) -> tuple[str | None, tuple[str, ...]]:
    """Return the value of an option (None when absent) and the other words.

    Understands `--name V`, `--name=V`, `-n V`, `-nV`, and `--` before what is no option. Raises
    UsageError without a value, and for any other option.
    """
    value: str | None = None
    others: list[str] = []
    words = list(arguments)
    while words:
        word = words.pop(0)
        if word == "--":
            return value, (*others, *words)
        if word == long or (short and word == short):
            if not words:
                raise UsageError(f"{word} needs a value.")
            value = words.pop(0)
        elif word.startswith(long + "="):
            value = word[len(long) + 1 :]
        elif short and word.startswith(short) and len(word) > len(short) and word[:2] != "--":
            value = word[len(short) :]
        elif word.startswith("--"):
            raise UsageError(f"There is no option {word.partition('=')[0]}; there is {long}.")
        else:
            others.append(word)
    return value, tuple(others)
