"""Rows of a message that grows.

Owns the rule that work is done once: closed blocks keep their rows, an open code block keeps
its finished lines, and only the open end is drawn again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.style import Style
from rich.text import Text

from tui.render.blocks import Block, BlockSplitter
from tui.render.rows import Row
from tui.state.items import Prose

if TYPE_CHECKING:
    from tui.render.markdown import Printer

_BLANK: Row = []
"""One object, so that an unchanged row is known by identity."""


class ProseRows:
    """The rows of one message at one width."""

    def __init__(self, printer: Printer, width: int) -> None:
        """Draw with `printer` at `width` cells."""
        self._printer = printer
        self._width = width
        self._resets = 0
        self._splitter = BlockSplitter()
        self._consumed = 0
        self._drawn = 0
        self._rows: list[Row] = []
        self._fence_rows: list[Row] = []
        self._fence_end = 0

    def rows(self, prose: Prose) -> list[Row]:
        """Return all rows for what has arrived."""
        if prose.resets != self._resets or len(prose.pieces) < self._consumed:
            self._restart(prose.resets)
        self._splitter.feed("".join(prose.pieces[self._consumed :]))
        self._consumed = len(prose.pieces)
        if prose.closed:
            self._splitter.finish()
        closed = self._splitter.closed
        for block in closed[self._drawn :]:
            self._add(block)
        self._drawn = len(closed)
        if self._splitter.open_fence is not None:
            return [*self._rows, *self._gap(), *self._open_fence()]
        tail = self._splitter.tail()
        if not tail:
            return list(self._rows)
        return [*self._rows, *self._gap(tail[0]), *self._block(tail[0])]

    def _restart(self, resets: int) -> None:
        self._resets = resets
        self._splitter = BlockSplitter()
        self._consumed = 0
        self._drawn = 0
        self._rows = []
        self._forget_fence()

    def _add(self, block: Block) -> None:
        self._rows += [*self._gap(block), *self._block(block)]
        self._forget_fence()

    def _gap(self, block: Block | None = None) -> list[Row]:
        return [_BLANK] if self._rows and not (block is not None and block.tight) else []

    def _block(self, block: Block) -> list[Row]:
        if block.fence is not None:
            return self._printer.code(block.text, block.fence, self._width)
        return self._printer.markdown(block.text, self._width)

    def _forget_fence(self) -> None:
        self._fence_rows = []
        self._fence_end = 0

    def _open_fence(self) -> list[Row]:
        language = self._splitter.open_fence or ""
        text = self._splitter.open
        start = self._fence_end or text.find("\n") + 1
        while start and (end := text.find("\n", start)) >= 0:
            self._fence_rows += self._code_line(text[start:end], language)
            start = self._fence_end = end + 1
        partial = text[start:] if start else ""
        return [*self._fence_rows, *(self._code_line(partial, "") if partial else [])]

    def _code_line(self, line: str, language: str) -> list[Row]:
        return self._printer.code(line, language, self._width) if line.strip() else [[]]


def plain_rows(printer: Printer, text: str, width: int, color: str, *, italic: bool) -> list[Row]:
    """Return unformatted text wrapped to `width`."""
    style = Style(color=color, italic=italic)
    return printer.text(Text(text.expandtabs(4), style=style, overflow="fold"), width)
