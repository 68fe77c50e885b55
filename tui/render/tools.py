"""Calls and commands as rows.

Owns the truth per call: verb, target, exit code in colour, seconds, lines. A good outcome
folds to one line, any other stays open, a running one shows its last lines.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len, set_cell_size
from rich.style import Style

from tui.render.palette import Palette
from tui.render.prose import plain_rows
from tui.render.rows import Row, styled
from tui.state.items import ShellRun, ToolCall
from tui.state.tool_words import change_counts, duration, exit_code, target, verb

if TYPE_CHECKING:
    from tui.render.markdown import Printer

LIVE_LINES: Final = 3
"""Lines of output shown while a call runs."""
FAILED_LINES: Final = 12
"""Last lines shown of a failed call that nobody unfolded."""
OPEN_LINES: Final = 400
"""Lines shown of an unfolded call."""

_OUTCOMES: Final = {
    "error": "failed",
    "timeout": "timed out",
    "cancelled": "cancelled",
    "denied": "refused",
    "interrupted": "interrupted",
}


class ToolPainter:
    """Draws what ran in the sandbox."""

    def __init__(self, palette: Palette, printer: Printer, now: Callable[[], float]) -> None:
        """`now` gives seconds since 1970, for what still runs."""
        self._palette = palette
        self._printer = printer
        self._now = now

    def call(self, item: ToolCall, width: int) -> tuple[list[Row], str]:
        """Return the rows of a call of the model and the colour of its bar."""
        code = exit_code(item.name, item.text) if item.finished else None
        failed = item.failed or bool(code)
        color = self._color(item.finished, failed, waits=item.status == "asked")
        facts = self._facts(item, code)
        words = verb(item.name, done=item.finished and item.status != "denied")
        denied = item.status == "denied"
        rows = [
            self._line(
                _mark(item.finished, failed),
                color,
                words,
                target(item.name, item.arguments),
                facts,
                width,
                struck=denied,
            )
        ]
        body = (item.text or item.output) if item.finished else item.output
        return rows + self._body(body, width, self._limit(item, failed)), color

    def run(self, item: ShellRun, width: int) -> tuple[list[Row], str]:
        """Return the rows of a command of the person and the colour of its bar."""
        failed = bool(item.error) or bool(item.exit_code)
        color = self._palette.bad if failed else self._palette.accent
        facts: list[tuple[str, str]] = []
        if item.exit_code is not None:
            facts.append((f"exit {item.exit_code}", color if failed else self._palette.good))
        facts.append((self._elapsed(item.elapsed_ms, item.started), self._palette.dim))
        command = " ".join(item.command.split())
        rows = [self._line("$", color, "", command, facts, width)]
        shown = OPEN_LINES if item.open is not False else 0
        return rows + self._body(item.output + item.error, width, shown), color

    def _limit(self, item: ToolCall, failed: bool) -> int:
        if item.open is not None:
            return OPEN_LINES if item.open else 0
        if not item.finished:
            return LIVE_LINES
        return FAILED_LINES if failed and item.status != "denied" else 0

    def _color(self, finished: bool, failed: bool, *, waits: bool) -> str:
        if waits:
            return self._palette.warn
        if not finished:
            return self._palette.accent
        return self._palette.bad if failed else self._palette.faint

    def _facts(self, item: ToolCall, code: int | None) -> list[tuple[str, str]]:
        palette = self._palette
        facts: list[tuple[str, str]] = []
        if (counts := change_counts(item.name, item.arguments)) is not None:
            facts += [(f"+{counts[0]}", palette.good)]
            facts += [(f"-{counts[1]}", palette.bad)] if counts[1] else []
        if item.status == "asked":
            facts.append(("waits for you", palette.warn))
        if item.failed:
            facts.append((_OUTCOMES.get(item.status, item.status), palette.bad))
        if code is not None and (code or item.status == "ok"):
            facts.append((f"exit {code}", palette.bad if code else palette.good))
        still = item.finished or item.status == "asked"
        facts.append((self._elapsed(item.elapsed_ms, item.started, still), palette.dim))
        if item.finished and not item.failed and (lines := len(item.text.splitlines())) > 1:
            facts.append((f"{lines} lines", palette.dim))
        return facts

    def _elapsed(self, elapsed_ms: float | None, started: float, still: bool = False) -> str:
        if elapsed_ms is not None:
            return duration(elapsed_ms)
        if still or not started:
            return ""
        running = int(max(0.0, self._now() - started))
        return f"{running} s" if running else ""

    def _line(
        self,
        mark: str,
        color: str,
        words: str,
        what: str,
        facts: list[tuple[str, str]],
        width: int,
        *,
        struck: bool = False,
    ) -> Row:
        facts = [fact for fact in facts if fact[0]]
        tail = sum(cell_len(text) + 2 for text, _ in facts)
        head = f"{mark} {words} " if words else f"{mark} "
        room = width - cell_len(head) - tail
        if room < 12:
            facts, room = facts[:1], width - cell_len(head)
            room -= sum(cell_len(text) + 2 for text, _ in facts)
        if cell_len(what) > room:
            what = set_cell_size(what, max(0, room - 1)).rstrip() + "…" if room > 1 else ""
        row = styled(
            (f"{mark} ", Style(color=color)),
            (f"{words} " if words else "", Style(color=self._palette.text, strike=struck)),
            (what, Style(color=self._palette.dim if words else self._palette.text, strike=struck)),
        )
        for text, shade in facts:
            row += styled(("  ", Style()), (text, Style(color=shade)))
        return row

    def _body(self, text: str, width: int, limit: int) -> list[Row]:
        lines = text.rstrip("\n").split("\n") if text.strip() else []
        if not lines or limit <= 0:
            return []
        shown = lines[-limit:]
        rows: list[Row] = []
        if len(lines) > limit:
            note = f"  … {len(lines) - limit} lines above"
            rows.append(styled((note, Style(color=self._palette.faint))))
        clipped = "\n".join(line[:2000] for line in shown)
        body = plain_rows(
            self._printer, clipped, max(1, width - 2), self._palette.dim, italic=False
        )
        return rows + [[*styled(("  ", Style())), *row] for row in body]


def _mark(finished: bool, failed: bool) -> str:
    if not finished:
        return "●"
    return "✗" if failed else "✓"
