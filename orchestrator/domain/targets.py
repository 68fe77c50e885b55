"""Which session a person means: by number, identifier, name or the beginning of one.

Owns the order in which these are tried, the same for the client and for commands, for live
and for saved sessions. Refuses to guess: where several fit, it names them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple, TypeVar

from orchestrator.domain.errors import Conflict, SavedSessionNotFound, SessionNotFound
from orchestrator.domain.names import shown_names

TENTH: Final = 10
"""Number of the session that 0 means, as on its tab."""

MIN_ID_CHARACTERS: Final = 4
"""Characters from which the beginning of an identifier is one."""

_SHOWN_CANDIDATES: Final = 10
_NUMBERED: Final = re.compile(r"(\d{1,3}):(.*)", re.DOTALL)


class AmbiguousTarget(Conflict):
    """Several sessions could be meant."""

    code = "ambiguous_target"


class Named(NamedTuple):
    """A session as far as it can be addressed."""

    id: str
    name: str


class _Entry(NamedTuple):
    number: int
    id: str
    name: str

    @property
    def label(self) -> str:
        return f"{self.number}:{self.name}"


_Item = TypeVar("_Item")
Described = Callable[[_Item], Named]


def find_live(target: str, items: Sequence[_Item], describe: Described[_Item]) -> _Item:
    """Return the live session meant; `items` are all of them by creation.

    Tried in this order: number (0 is the tenth), `number:name` as on the tab, identifier, name
    as shown, the same without regard to case, beginning of a name, beginning of an identifier.
    Raises SessionNotFound, or AmbiguousTarget with the candidates.
    """
    if not items:
        raise SessionNotFound("No session is open. Open one with `session new`.")
    named = [describe(item) for item in items]
    names = shown_names(each.name for each in named)
    entries = [
        _Entry(place % TENTH if place <= TENTH else place, each.id, name)
        for place, (each, name) in enumerate(zip(named, names, strict=True), 1)
    ]
    place = _number(target, len(items), tenth=True)
    if place is None:
        place = _search(target, entries)
    if place is None:
        raise SessionNotFound(f"“{_cut(target)}” is no open session. Open: {_labels(entries)}.")
    return items[place]


def find_saved(target: str, items: Sequence[_Item], describe: Described[_Item]) -> _Item:
    """Return the saved session meant; `items` are all of them, newest first.

    Tried as for live ones. Raises SavedSessionNotFound, or AmbiguousTarget.
    """
    if not items:
        raise SavedSessionNotFound("There are no saved sessions.")
    named = [describe(item) for item in items]
    place = _number(target, len(items), tenth=False)
    if place is None:
        place = _search(target, [_Entry(n, each.id, each.name) for n, each in enumerate(named, 1)])
    if place is None:
        valid = "1" if len(items) == 1 else f"1 to {len(items)}"
        raise SavedSessionNotFound(
            f"“{_cut(target)}” is no saved session. Use {valid}, a name or an id."
        )
    return items[place]


def _number(target: str, count: int, *, tenth: bool) -> int | None:
    """Return the place that a number in range means."""
    if not (target.isascii() and target.isdecimal() and len(target) <= 4):
        return None
    number = TENTH if tenth and int(target) == 0 else int(target)
    return number - 1 if 1 <= number <= count else None


def _search(target: str, entries: Sequence[_Entry]) -> int | None:
    wanted = target.strip().casefold()
    if not wanted:
        return None
    numbered = _NUMBERED.fullmatch(target)
    tests: list[Callable[[_Entry], bool]] = [
        lambda e: e.id == wanted,
        lambda e: e.name == target,
        lambda e: e.name.casefold() == wanted,
        lambda e: e.name.casefold().startswith(wanted),
        lambda e: len(wanted) >= MIN_ID_CHARACTERS and e.id.startswith(wanted),
    ]
    if numbered:
        tests.insert(0, lambda e: e.number == int(numbered[1]) and e.name.startswith(numbered[2]))
    for test in tests:
        found = [place for place, entry in enumerate(entries) if test(entry)]
        if len(found) == 1:
            return found[0]
        if found:
            candidates = [entries[place] for place in found]
            raise AmbiguousTarget(
                f"“{_cut(target)}” may be any of {_labels(candidates)}. Use the number.",
                candidates=[entry.id for entry in candidates],
            )
    return None


def _labels(entries: Iterable[_Entry]) -> str:
    labels = [entry.label for entry in entries]
    more = len(labels) - _SHOWN_CANDIDATES
    return ", ".join(labels[:_SHOWN_CANDIDATES]) + (f" and {more} more" if more > 0 else "")


def _cut(target: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in target[:80])
