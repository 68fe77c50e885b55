"""Cutting growing Markdown into blocks that never change again and one that still may.

Owns the rule where a block ends. The rule looks at the text only, never at when a piece came,
so a message looks the same streamed and reloaded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

LONG_PARAGRAPH: Final = 1600
"""Characters of one paragraph from which it is cut at the end of a sentence."""
ENDLESS_PARAGRAPH: Final = 3200
"""Characters of one paragraph at which it is cut between words, or anywhere."""

_FENCE: Final = re.compile(r"(?P<indent> *)(?P<mark>`{3,}|~{3,})(?P<info>[^`\n]*)$")
_LIST: Final = re.compile(r"(?:[-*+]|\d{1,9}[.)])(?:\s|$)")
_SENTENCE: Final = re.compile(r"[.!?…。！？][\"')\]]?\s")
_PLAIN: Final = re.compile(r"[^\s#>|`~*+\-\d]")
_DECISIVE: Final = 4


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of Markdown that is drawn by itself."""

    text: str
    fence: str | None = None
    """Language of a code block, perhaps empty; None for anything else."""
    tight: bool = False
    """True when it goes on from the block before, without a blank row."""


class BlockSplitter:
    """Takes text piece by piece; `closed` only grows, `open` is what may still change."""

    def __init__(self) -> None:
        """Start at the beginning of a message."""
        self.closed: list[Block] = []
        self.open = ""
        self.open_fence: str | None = None
        """Language of the code block under way; None when none is."""
        self._scanned = 0
        self._mark = ""
        self._nested = ""
        self._blank = False
        self._tight = False

    def feed(self, piece: str) -> None:
        """Take the next piece."""
        self.open += piece
        while self._step():
            pass

    def finish(self) -> list[Block]:
        """Take note that nothing follows; return all blocks."""
        if not self.open.endswith("\n"):
            self.feed("\n")
        return [*self.closed, *self.tail()]

    def tail(self) -> list[Block]:
        """Return the open block; nothing when only white space is left."""
        if not self.open.strip():
            return []
        if self.open_fence is not None:
            return [Block(_fence_body(self.open).rstrip("\n"), self.open_fence)]
        return [Block(self.open.strip("\n"), tight=self._tight)]

    def _step(self) -> bool:
        """Look at one more line; False when more text is needed."""
        end = self.open.find("\n", self._scanned)
        if end < 0:
            return self._partial(self.open[self._scanned :])
        line = self.open[self._scanned : end]
        if self._begins_block(line):
            self._close(self._scanned)
            return True
        self._scanned = end + 1
        self._line(line)
        return True

    def _partial(self, line: str) -> bool:
        if len(line) >= _DECISIVE and self._begins_block(line) and not _FENCE.match(line):
            self._close(self._scanned)
            return True
        return self._cut_paragraph()

    def _line(self, line: str) -> None:
        if self._mark:
            if line.strip() == line.strip()[:1] * len(line.strip()) and line.strip().startswith(
                self._mark
            ):
                self._close_fence()
            return
        fence = _FENCE.match(line)
        if self._nested:
            if line.strip().startswith(self._nested) and not line.strip(" `~"):
                self._nested = ""
        elif fence and not fence["indent"] and self.open.startswith(line):
            self._mark, self.open_fence = fence["mark"], fence["info"].strip().split(" ")[0]
        elif fence:
            self._nested = fence["mark"]
        self._blank = not line.strip()

    def _begins_block(self, line: str) -> bool:
        """Whether `line` starts a block of its own behind what is open."""
        if self._mark or self._nested or not self.open[: self._scanned].strip():
            return False
        if not line.strip() or line[0].isspace():
            return False
        if _FENCE.match(line):
            return True
        if not self._blank:
            return line.startswith("#") and not self.open.startswith("|")
        return not (_LIST.match(line) and _LIST.match(self.open.lstrip("\n")))

    def _close(self, end: int) -> None:
        text = self.open[:end].strip("\n")
        if text:
            self.closed.append(Block(text, tight=self._tight))
        self._reset(self.open[end:])

    def _close_fence(self) -> None:
        body = _fence_body(self.open[: self._scanned].rstrip("\n"), complete=True)
        self.closed.append(Block(body, self.open_fence))
        self._reset(self.open[self._scanned :])

    def _reset(self, rest: str) -> None:
        self.open, self._scanned = rest, 0
        self._mark, self._nested, self.open_fence = "", "", None
        self._blank, self._tight = False, False

    def _cut_paragraph(self) -> bool:
        text = self.open
        if len(text) < LONG_PARAGRAPH or self._mark or self._nested:
            return False
        if not _PLAIN.match(text.lstrip("\n")) or "\n" in text.strip("\n"):
            return False
        place = _cut_place(text)
        if place is None:
            return False
        self._close(place)
        self._tight = True
        self.open = self.open.lstrip(" ")
        return True


def _cut_place(text: str) -> int | None:
    for match in _SENTENCE.finditer(text, LONG_PARAGRAPH, ENDLESS_PARAGRAPH):
        return match.end()
    if len(text) < ENDLESS_PARAGRAPH:
        return None
    space = text.find(" ", LONG_PARAGRAPH, ENDLESS_PARAGRAPH)
    return space + 1 if space > 0 else ENDLESS_PARAGRAPH


def _fence_body(text: str, *, complete: bool = False) -> str:
    lines = text.split("\n")
    return "\n".join(lines[1:-1] if complete else lines[1:])
