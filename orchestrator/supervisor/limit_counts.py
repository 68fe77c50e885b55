"""How often a sandbox met its limits, and when that is told again.

Owns the strict reading of what a tool server counts and the rate at which a session hears of it:
each kind at once, then at most once a minute with the number since; short processors, which are no
failure, once in ten and never late. Refuses a clock: the caller says what time it is. What a
sandbox claims can only ever become one of a few lines a minute.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

from orchestrator.sandboxes import results

Kind = Literal["memory", "pids", "files", "cpu"]
DiskState = Literal["ok", "warning", "full"]

TOLD_EVERY_S: Final = 60.0
"""Seconds in which a session is told of one kind at most once."""

CPU_TOLD_EVERY_S: Final = 600.0
"""The same for processors: builds are at that limit all day, and nothing fails for it."""

_FIELDS: Final[dict[str, Kind]] = {
    "memory_kills": "memory",
    "pids_refused": "pids",
    "files_refused": "files",
    "cpu_throttled": "cpu",
}

_LATER: Final = frozenset({"cpu_throttled"})
"""Counts that the tool server of a sandbox adopted from an earlier version may not have."""

_STATES: Final[dict[str, DiskState]] = {"ok": "ok", "warning": "warning", "full": "full"}


@dataclass(frozen=True, slots=True)
class Disk:
    """What a tool server knows of its project's disk."""

    state: DiskState = "ok"
    added: int = 0
    """Bytes the session has added to its project."""
    baseline: int | None = None
    """Bytes the project took when the session began; None while that is being measured."""
    free: int = 0
    """Bytes free on the project's file system."""
    low: bool = False
    """Whether that is little."""

    @classmethod
    def read(cls, value: object) -> Disk:
        """Read the part of an answer that is about the disk; raises ChannelProtocolError."""
        if not isinstance(value, dict):
            raise results.wrong()
        state = _STATES.get(results.text(value, "state"))
        if state is None:
            raise results.wrong()
        baseline = results.integer(value, "baseline")
        return cls(
            state,
            max(0, results.integer(value, "added")),
            None if baseline < 0 else baseline,
            max(0, results.integer(value, "free")),
            results.flag(value, "low"),
        )


@dataclass(frozen=True, slots=True)
class Counts:
    """What a tool server has counted since it started."""

    started: int
    """Tells one start of a tool server from another."""

    version: int
    """Differs whenever anything does."""

    hits: dict[Kind, int]
    """How often each limit was met, of those that this tool server counts."""

    told: dict[Kind, int]
    """How much of that was told already, by whoever listened before."""

    disk: Disk
    """The disk, now."""

    @classmethod
    def read(cls, result: dict[str, Any]) -> Counts:
        """Read an answer; raises ChannelProtocolError."""
        told = result.get("told")
        if not isinstance(told, dict):
            raise results.wrong()
        fields = [each for each in _FIELDS.items() if each[0] in result or each[0] not in _LATER]
        hits, before = (
            {kind: results.integer(part, name) for name, kind in fields} for part in (result, told)
        )
        started, version = (results.integer(result, each) for each in ("started", "version"))
        return cls(started, version, hits, before, Disk.read(result.get("disk")))


@dataclass(slots=True)
class _Told:
    """What a session knows of one kind."""

    seen: int = 0
    waiting: int = 0
    next_at: float = 0.0


@dataclass(slots=True)
class DiskNews:
    """What one session has not been told yet of its disk: states, of which the last one counts.

    A sandbox that has measured nothing yet, such as one just restarted, says nothing of it.
    """

    _told: DiskState = "ok"
    _told_low: bool = False
    _next_at: dict[str, float] = field(default_factory=dict)

    def due(self, disk: Disk, now: float) -> list[DiskState | Literal["low"]]:
        """Return what is to be told at `now`, in seconds, and count it as told."""
        news: list[DiskState | Literal["low"]] = []
        if self.waits(disk) and self._may(disk.state, now):
            self._told = disk.state
            news.append(disk.state)
        if disk.low and not self._told_low and self._may("low", now):
            news.append("low")
        self._told_low = disk.low
        return news

    def _may(self, what: str, now: float) -> bool:
        if now < self._next_at.get(what, 0.0):
            return False
        self._next_at[what] = now + TOLD_EVERY_S
        return True

    def waits(self, disk: Disk) -> bool:
        """Say whether there is a state to tell, perhaps when its minute is over."""
        return disk.baseline is not None and disk.state != self._told


@dataclass(slots=True)
class LimitNews:
    """What one session has not been told yet."""

    _started: int | None = None
    _counted: frozenset[Kind] = frozenset()
    _kinds: dict[Kind, _Told] = field(default_factory=dict)

    def take(self, counts: Counts) -> None:
        """Take counts in; what an earlier listener has told of them is no news."""
        if counts.started != self._started:
            self._started = counts.started
            for kind, told_before in counts.told.items():
                self._of(kind).seen = told_before
        self._counted = frozenset(counts.hits)
        for kind, hits in counts.hits.items():
            told = self._of(kind)
            told.waiting += max(0, hits - told.seen)
            told.seen = hits

    def told(self) -> dict[str, int]:
        """Return how much of each count is told, by the names that this tool server knows."""
        kinds = {name: self._of(kind) for name, kind in _FIELDS.items() if kind in self._counted}
        return {f"{name}_told": told.seen - told.waiting for name, told in kinds.items()}

    def due(self, now: float) -> list[tuple[Kind, int]]:
        """Return what is to be told at `now`, in seconds, and count it as told."""
        news: list[tuple[Kind, int]] = []
        for kind, told in self._kinds.items():
            if told.waiting and now >= told.next_at:
                news.append((kind, told.waiting))
                every_s = CPU_TOLD_EVERY_S if kind == "cpu" else TOLD_EVERY_S
                told.waiting, told.next_at = 0, now + every_s
            elif kind == "cpu":
                # Told late it would speak of something that is over by then.
                told.waiting = 0
        return news

    def wait_s(self, now: float, longest_s: float) -> float:
        """Return the seconds until something is due, at most `longest_s`."""
        times = [told.next_at for told in self._kinds.values() if told.waiting]
        return max(0.0, min([longest_s, *(each - now for each in times)]))

    def _of(self, kind: Kind) -> _Told:
        return self._kinds.setdefault(kind, _Told())
