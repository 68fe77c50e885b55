"""Names of sessions: what is legal, and how display names are kept apart.

Names are for people; identifiers decide. Refuses control characters, so that a
name can never move a terminal's cursor.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from orchestrator.domain.errors import InvalidName, NameTooLong
from orchestrator.domain.limits import MAX_NAME_CHARACTERS


def validate_name(name: str) -> str:
    """Return `name` without surrounding white space.

    Raises InvalidName when nothing is left or a character is not printable, NameTooLong
    beyond 50 characters.
    """
    cleaned = unicodedata.normalize("NFC", name).strip()
    if not cleaned:
        raise InvalidName("A session name cannot be empty. Give it at least one visible character.")
    if not cleaned.isprintable():
        raise InvalidName(
            "A session name cannot hold control characters or line breaks. Use one line of text."
        )
    if len(cleaned) > MAX_NAME_CHARACTERS:
        raise NameTooLong(
            f"The name has {len(cleaned)} characters; at most {MAX_NAME_CHARACTERS} are allowed."
        )
    return cleaned


def name_from_path(path: str) -> str:
    """Return a legal name made of the last component of `path`."""
    base = path.rstrip("/").rsplit("/", 1)[-1]
    printable = "".join(c if c.isprintable() else "?" for c in base).strip()
    return printable[:MAX_NAME_CHARACTERS] or "project"


def unique_name(name: str, taken: Iterable[str]) -> str:
    """Return `name`, or `name (2)`, `name (3)` … whichever no other session shows."""
    others = set(taken)
    if name not in others:
        return name
    number = 2
    while True:
        suffix = f" ({number})"
        candidate = name[: MAX_NAME_CHARACTERS - len(suffix)] + suffix
        if candidate not in others:
            return candidate
        number += 1


def shown_names(names: Iterable[str]) -> list[str]:
    """Return what is shown for `names`: each as it is, a repeated one as `name (2)`, `name (3)` …

    The first of equal names keeps it, so that a name that nobody repeats is never changed.
    """
    given = list(names)
    shown: list[str] = []
    for name in given:
        shown.append(unique_name(name, [*given, *shown]) if name in shown else name)
    return shown
