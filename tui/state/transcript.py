"""The transcript of one session: items in order, found by the names the wire gives them.

Owns order and identity. Every operation may be repeated with the same facts and changes
nothing the second time, because a reconnected stream may tell them again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tui.state.items import (
    MAX_OUTPUT_CHARACTERS,
    Item,
    Prose,
    ShellRun,
    ToolCall,
    ToolStatus,
    TurnEnd,
    UserText,
)
from tui.state.sanitise import sanitise


class Transcript:
    """Items, oldest first."""

    def __init__(self) -> None:
        """Start empty."""
        self.items: list[Item] = []
        self.revision = 0
        """Grows with any change."""
        self.structure = 0
        """Grows when items were put anywhere but at the end, or taken away."""
        self._prose: dict[str, list[Prose]] = {}
        self._complete: set[str] = set()
        self._calls: dict[str, ToolCall] = {}
        self._runs: dict[str, ShellRun] = {}
        self._ends: set[str] = set()

    def append(self, item: Item) -> None:
        """Put `item` at the end."""
        self.items.append(item)
        self.revision += 1

    def changed(self, item: Item) -> None:
        """Note that `item` changed."""
        item.touch()
        self.revision += 1

    def knows(self, message_id: str) -> bool:
        """Whether a message of that name is complete."""
        return message_id in self._complete

    def note_complete(self, message_id: str) -> None:
        """Remember that a message of that name stands here already."""
        self._complete.add(message_id)

    def add_user(self, message_id: str, turn_id: str, text: str) -> None:
        """Add what the person asked, unless it stands there already."""
        if message_id in self._complete:
            return
        self._complete.add(message_id)
        self.append(UserText(turn_id=turn_id, message_id=message_id, text=text))

    def grow(self, message_id: str, turn_id: str, piece: str, *, reasoning: bool) -> None:
        """Append a piece to the open end of a message."""
        if message_id in self._complete:
            return
        parts = self._prose.setdefault(message_id, [])
        if parts and parts[-1].reasoning == reasoning and not parts[-1].closed:
            prose = parts[-1]
        else:
            self._close(parts)
            prose = Prose(turn_id=turn_id, message_id=message_id, reasoning=reasoning)
            parts.append(prose)
            self.append(prose)
        if shown := prose.sanitiser.feed(piece):
            prose.pieces.append(shown)
            self.changed(prose)

    def complete(
        self, message_id: str, turn_id: str, parts: Iterable[tuple[bool, str]], *, interrupted: bool
    ) -> None:
        """Close a message; `parts` are (reasoning, text) and win over what was streamed."""
        if message_id in self._complete:
            return
        self._complete.add(message_id)
        streamed = self._prose.pop(message_id, [])
        final = [(reasoning, sanitise(text)) for reasoning, text in parts if text]
        for reasoning in (True, False):
            self._settle(
                [p for p in streamed if p.reasoning == reasoning],
                [text for kind, text in final if kind == reasoning],
                Prose(turn_id=turn_id, message_id=message_id, reasoning=reasoning),
            )
        self._close(streamed)
        if interrupted and streamed:
            streamed[-1].interrupted = True
            self.changed(streamed[-1])

    def call(
        self, call_id: str, turn_id: str, name: str, arguments: Mapping[str, Any], started: float
    ) -> ToolCall:
        """Add a call, or return the one that stands there."""
        known = self._calls.get(call_id)
        if known is not None:
            if not known.name and name:
                known.name, known.arguments = name, arguments
                self.changed(known)
            return known
        for parts in self._prose.values():
            self._close(parts)
        item = ToolCall(
            turn_id=turn_id, call_id=call_id, name=name, arguments=arguments, started=started
        )
        self._calls[call_id] = item
        self.append(item)
        return item

    def call_status(self, call_id: str, status: ToolStatus) -> None:
        """Move a call that is not finished to another state."""
        item = self._calls.get(call_id)
        if item is not None and not item.finished and item.status != status:
            item.status = status
            self.changed(item)

    def call_output(self, call_id: str, piece: str) -> None:
        """Append live output of a call that still runs."""
        item = self._calls.get(call_id)
        if item is not None and not item.finished:
            item.output = (item.output + item.sanitiser.feed(piece))[-MAX_OUTPUT_CHARACTERS:]
            self.changed(item)

    def call_result(
        self, call_id: str, status: ToolStatus, text: str, elapsed_ms: float | None
    ) -> None:
        """Finish a call; the first outcome told is the one that counts."""
        item = self._calls.get(call_id)
        if item is None or item.finished:
            return
        item.status, item.text, item.elapsed_ms = status, text, elapsed_ms
        self.changed(item)

    def end_turn(self, end: TurnEnd) -> None:
        """Add how a turn ended, behind the last item of that turn, and close what it left open."""
        if end.turn_id in self._ends:
            return
        self._ends.add(end.turn_id)
        place = len(self.items)
        for index in range(len(self.items) - 1, -1, -1):
            if self.items[index].turn_id == end.turn_id:
                place = index + 1
                break
        for item in self.items[:place]:
            if item.turn_id == end.turn_id:
                self._abandon(item)
        if place == len(self.items):
            self.append(end)
            return
        self.items.insert(place, end)
        self.structure += 1
        self.revision += 1

    def run(self, item: ShellRun) -> None:
        """Add a command of the person."""
        self._runs[item.run_id] = item
        self.append(item)

    def run_of(self, run_id: str) -> ShellRun | None:
        """Return a command of the person; None when it is not known here."""
        return self._runs.get(run_id)

    def toggle(self, item: Item, *, now_open: bool) -> None:
        """Fold or unfold an item; kinds that do not fold ignore it."""
        if isinstance(item, ToolCall | Prose | ShellRun):
            item.open = now_open
            self.changed(item)

    def absorb_older(self, older: Transcript) -> None:
        """Put a transcript of earlier messages in front of this one."""
        self.items[:0] = older.items
        self._complete |= older._complete
        self._calls = {**older._calls, **self._calls}
        self.structure += 1
        self.revision += 1

    def _settle(self, streamed: list[Prose], final: list[str], fresh: Prose) -> None:
        told = "".join(final)
        if not told or "".join(p.text for p in streamed) == told:
            return
        if len(streamed) == len(final):
            for prose, text in zip(streamed, final, strict=True):
                if prose.text != text:
                    prose.replace(text)
                    self.revision += 1
            return
        if streamed:
            streamed[0].replace("\n\n".join(final))
            for prose in streamed[1:]:
                prose.replace("")
        else:
            fresh.pieces, fresh.closed = ["\n\n".join(final)], True
            self.append(fresh)
        self.revision += 1

    def _close(self, parts: list[Prose]) -> None:
        for prose in parts:
            if not prose.closed:
                prose.closed = True
                self.changed(prose)

    def _abandon(self, item: Item) -> None:
        if isinstance(item, Prose) and not item.closed:
            item.closed = True
            item.touch()
        elif isinstance(item, ToolCall) and not item.finished:
            item.status = "interrupted"
            item.touch()
