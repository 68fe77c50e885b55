"""How often a sandbox met its limits, and when that is told again.

Owns the strict reading of what a tool server counts and the rate at which a session hears of it:
each kind at once, then at most once a minute with the number since. Refuses a clock: the caller
says what time it is. What a sandbox claims can only ever become one of a few lines a minute.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

from orchestrator.sandboxes import results

Kind = Literal["memory", "pids", "files"]

TOLD_EVERY_S: Final = 60.0
"""Seconds in which a session is told of one kind at most once."""

_FIELDS: Final[dict[str, Kind]] = {
    "memory_kills": "memory",
    "pids_refused": "pids",
    "files_refused": "files",
}


@dataclass(frozen=True, slots=True)
class Counts:
    """What a tool server has counted since it started."""

    started: int
    """Tells one start of a tool server from another."""

    version: int
    """Differs whenever anything does."""

    hits: dict[Kind, int]
    """How often each limit was met."""

    @classmethod
    def read(cls, result: dict[str, Any]) -> Counts:
        """Read an answer; raises ChannelProtocolError."""
        hits = {kind: results.integer(result, name) for name, kind in _FIELDS.items()}
        started, version = (results.integer(result, each) for each in ("started", "version"))
        return cls(started, version, hits)


@dataclass(slots=True)
class _Told:
    """What a session knows of one kind."""

    seen: int = 0
    waiting: int = 0
    next_at: float = 0.0


@dataclass(slots=True)
class LimitNews:
    """What one session has not been told yet."""

    _started: int | None = None
    _kinds: dict[Kind, _Told] = field(default_factory=dict)

    def take(self, counts: Counts, *, is_new: bool) -> None:
        """Take counts in; those of a sandbox that is not `is_new` were told by somebody else."""
        if counts.started != self._started:
            self._started = counts.started
            for kind, hits in counts.hits.items():
                self._of(kind).seen = 0 if is_new else hits
        for kind, hits in counts.hits.items():
            told = self._of(kind)
            told.waiting += max(0, hits - told.seen)
            told.seen = hits

    def due(self, now: float) -> list[tuple[Kind, int]]:
        """Return what is to be told at `now`, in seconds, and count it as told."""
        news: list[tuple[Kind, int]] = []
        for kind, told in self._kinds.items():
            if told.waiting and now >= told.next_at:
                news.append((kind, told.waiting))
                told.waiting, told.next_at = 0, now + TOLD_EVERY_S
        return news

    def wait_s(self, now: float, longest_s: float) -> float:
        """Return the seconds until something is due, at most `longest_s`."""
        times = [told.next_at for told in self._kinds.values() if told.waiting]
        return max(0.0, min([longest_s, *(each - now for each in times)]))

    def _of(self, kind: Kind) -> _Told:
        return self._kinds.setdefault(kind, _Told())
