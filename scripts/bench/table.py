"""The table a person reads.

Owns columns and marks. Refuses arithmetic, which is the figures'.
"""

from __future__ import annotations

from collections.abc import Iterable

from scripts.bench.figures import Beside, Figure

_HEADINGS = ("", "n", "p50", "p95", "unit", "beside it", "p50", "ratio", "target", "")
_RIGHT = {1, 2, 3, 6, 7}
"""Columns of numbers."""


def table(figures: Iterable[Figure]) -> str:
    """Return all figures as aligned lines, their counterparts below each other."""
    rows = [_HEADINGS, *(row for figure in figures for row in _rows(figure))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    lines = ["  ".join(_aligned(row, widths)).rstrip() for row in rows]
    lines.insert(1, "-" * max(len(line) for line in lines))
    return "\n".join(lines)


def _aligned(row: tuple[str, ...], widths: list[int]) -> list[str]:
    return [
        cell.rjust(width) if column in _RIGHT else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]


def _rows(figure: Figure) -> list[tuple[str, ...]]:
    first = figure.beside[0] if figure.beside else None
    targets = []
    if figure.at_most is not None:
        targets.append(f"{figure.held} <= {figure.at_most:g} {figure.unit}")
    targets += [f"<= {each.at_most:g} x" for each in figure.beside if each.at_most is not None]
    mark = ("MISSED" if figure.missed() else "ok") if targets else ""
    own = (
        figure.name,
        str(len(figure.samples)),
        _number(figure.p50),
        _number(figure.p95) if len(figure.samples) > 1 else "",
        figure.unit,
    )
    rows: list[tuple[str, ...]] = [(*own, *_counterpart(figure, first), ", ".join(targets), mark)]
    for each in figure.beside[1:]:
        rows.append(("", "", "", "", "", *_counterpart(figure, each), "", ""))
    if figure.note:
        rows[0] = (*rows[0][:9], f"{mark} {figure.note}".strip())
    return rows


def _counterpart(figure: Figure, beside: Beside | None) -> tuple[str, str, str]:
    if beside is None:
        return "", "", ""
    ratio = figure.ratio(beside)
    return beside.label, _number(beside.p50), _ratio(ratio) if ratio else ""


def _ratio(value: float) -> str:
    return f"{value:.2f}" if value >= 0.1 else f"1/{1 / value:.0f}"


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
