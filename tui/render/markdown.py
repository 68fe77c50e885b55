"""Markdown and code as rows.

Owns the look of prose. Raw HTML is shown as the text it is, and the target of a link is
written out, since what a model wrote must not hide anything.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from functools import lru_cache, partial
from typing import Any, ClassVar, Final

from markdown_it import MarkdownIt
from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import (
    CodeBlock,
    Heading,
    HorizontalRule,
    Markdown,
    MarkdownElement,
    TableElement,
)
from rich.padding import Padding
from rich.rule import Rule
from rich.segment import Segment
from rich.style import Style
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text
from rich.theme import Theme

from tui.render.palette import Palette
from tui.render.rows import Row

MAX_HIGHLIGHTED: Final = 60_000
"""Characters of a code block beyond which it is shown without colours."""

_PARSER: Final = MarkdownIt("commonmark", {"html": False}).enable("strikethrough").enable("table")


class _Heading(Heading):
    """A heading at the left margin, without a frame."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        self.text.justify = "left"
        yield self.text


class _Code(CodeBlock):
    """Code behind a quiet background, coloured by Pygments."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield highlighted(str(self.text).rstrip("\n"), self.lexer_name, self.theme)


class _Table(TableElement):
    """A table with one rule beneath its head."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for renderable in super().__rich_console__(console, options):
            if isinstance(renderable, Table):
                renderable.box = box.SIMPLE_HEAD
                renderable.show_edge = False
            yield renderable


class _Break(HorizontalRule):
    """A thin rule."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Rule(style="markdown.hr", characters="─")


class _Prose(Markdown):
    """Markdown with our elements and our parser."""

    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements,
        "heading_open": _Heading,
        "fence": _Code,
        "code_block": _Code,
        "table_open": _Table,
        "hr": _Break,
    }

    def __init__(self, markup: str, code_theme: str) -> None:
        super().__init__("", code_theme=code_theme, hyperlinks=False)
        self.markup = markup
        self.parsed = _PARSER.parse(markup)


def highlighted(code: str, language: str, style: str) -> Syntax | Text:
    """Return `code` coloured for `language`; plain when unknown or too long."""
    if len(code) > MAX_HIGHLIGHTED:
        return Text(code)
    return Syntax(
        code,
        language or "text",
        theme=style,
        word_wrap=True,
        background_color="default",
        tab_size=4,
    )


class Printer:
    """Turns renderables into rows of one width in one palette."""

    def __init__(self, palette: Palette) -> None:
        """Prepare a console that writes nowhere."""
        self.palette = palette
        self._console = Console(
            file=io.StringIO(),
            width=80,
            color_system="truecolor",
            force_terminal=True,
            legacy_windows=False,
            highlight=False,
            emoji=False,
            markup=False,
            theme=_theme(palette),
        )

    def markdown(self, text: str, width: int) -> list[Row]:
        """Return Markdown as rows without blank ones at either end."""
        return _trimmed(self.rows(_Prose(text, self.palette.code_style), width))

    def code(self, text: str, language: str, width: int) -> list[Row]:
        """Return a code block as rows."""
        code = highlighted(text.rstrip("\n"), language, self.palette.code_style)
        return self.rows(Padding(code, (0, 0, 0, 2)), width)

    def text(self, text: Text, width: int) -> list[Row]:
        """Return styled text, wrapped, as rows."""
        return self.rows(text, width)

    def rows(self, renderable: Any, width: int) -> list[Row]:
        """Return anything Rich can draw as rows of at most `width` cells."""
        options = self._console.options.update(width=max(1, width), height=None)
        lines = self._console.render_lines(renderable, options, pad=False)
        return [_clean(line) for line in lines]


def _clean(line: Iterable[Segment]) -> Row:
    row = []
    for segment in line:
        text, style, control = segment
        if control:
            continue
        if not text.isprintable():
            text = "".join(c if c.isprintable() else " " if c == "\t" else "" for c in text)
        row.append(Segment(text, style and _bare(style)))
    return row


@lru_cache(maxsize=1024)
def _bare(style: Style) -> Style:
    """Return `style` without a background of the terminal's own choice and without a link."""
    if style.bgcolor is not None and style.bgcolor.is_default:
        style = Style(
            color=style.color,
            bold=style.bold,
            italic=style.italic,
            underline=style.underline,
            dim=style.dim,
            strike=style.strike,
        )
    return style.update_link(None) if style.link else style


def _trimmed(rows: list[Row]) -> list[Row]:
    start, end = 0, len(rows)
    while start < end and not "".join(s.text for s in rows[start]).strip():
        start += 1
    while end > start and not "".join(s.text for s in rows[end - 1]).strip():
        end -= 1
    return rows[start:end]


def _theme(palette: Palette) -> Theme:
    style = partial(Style, color=palette.text)

    return Theme(
        {
            "markdown.paragraph": style(),
            "markdown.text": style(),
            "markdown.em": style(italic=True),
            "markdown.emph": style(italic=True),
            "markdown.strong": style(bold=True),
            "markdown.code": style(color=palette.accent),
            "markdown.code_block": style(),
            "markdown.block_quote": style(color=palette.dim, italic=True),
            "markdown.list": style(),
            "markdown.item": style(),
            "markdown.item.bullet": style(color=palette.faint),
            "markdown.item.number": style(color=palette.dim),
            "markdown.hr": style(color=palette.faint),
            "markdown.h1": style(bold=True, underline=True),
            "markdown.h2": style(bold=True),
            "markdown.h3": style(bold=True),
            "markdown.h4": style(color=palette.dim, bold=True),
            "markdown.h5": style(color=palette.dim, bold=True),
            "markdown.h6": style(color=palette.dim, bold=True),
            "markdown.h1.border": style(color=palette.faint),
            "markdown.link": style(color=palette.accent),
            "markdown.link_url": style(color=palette.dim),
            "markdown.s": style(color=palette.dim, strike=True),
            "markdown.table.border": style(color=palette.faint),
            "markdown.table.header": style(bold=True),
        },
        inherit=True,
    )
