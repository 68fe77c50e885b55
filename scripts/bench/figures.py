"""Figures: samples, what stands beside them, and the targets they are held to.

Owns the arithmetic. Refuses to measure and to print.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


def percentile(samples: Sequence[float], share: float) -> float:
    """Return the value below which `share` (0 to 1) of the samples lie, interpolated."""
    ordered = sorted(samples)
    place = (len(ordered) - 1) * share
    lower = int(place)
    upper = min(lower + 1, len(ordered) - 1)
    return ordered[lower] + (ordered[upper] - ordered[lower]) * (place - lower)


@dataclass(frozen=True)
class Beside:
    """A counterpart measured in the same run."""

    label: str
    samples: Sequence[float]
    """In the unit of the figure."""
    at_most: float | None = None
    """Target for figure / counterpart; None means none."""

    @property
    def p50(self) -> float:
        """Median."""
        return statistics.median(self.samples)


@dataclass
class Figure:
    """One measured thing."""

    name: str
    samples: Sequence[float]
    unit: str = "ms"
    at_most: float | None = None
    """Target in `unit`; None means none."""
    held: str = "p50"
    """Which of p50 and p95 the target is about."""
    beside: list[Beside] = field(default_factory=list)
    note: str = ""

    @property
    def p50(self) -> float:
        """Median."""
        return statistics.median(self.samples)

    @property
    def p95(self) -> float:
        """95th percentile."""
        return percentile(self.samples, 0.95)

    def missed(self) -> list[str]:
        """Return the targets that are not met, in words."""
        faults = []
        value = self.p95 if self.held == "p95" else self.p50
        if self.at_most is not None and value > self.at_most:
            faults.append(f"{self.held} {value:.2f} > {self.at_most:g} {self.unit}")
        for each in self.beside:
            ratio = self.ratio(each)
            if each.at_most is not None and ratio is not None and ratio > each.at_most:
                faults.append(f"{ratio:.2f} x {each.label}, at most {each.at_most:g}")
        return faults

    def ratio(self, beside: Beside) -> float | None:
        """Return how many times the counterpart this takes; None when it takes nothing."""
        return self.p50 / beside.p50 if beside.p50 > 0 else None

    def document(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {
            "name": self.name,
            "unit": self.unit,
            "samples": len(self.samples),
            "p50": self.p50,
            "p95": self.p95,
            "target": self.at_most,
            "target_of": self.held,
            "beside": [
                {
                    "label": each.label,
                    "p50": each.p50,
                    "ratio": self.ratio(each),
                    "target_ratio": each.at_most,
                }
                for each in self.beside
            ],
            "missed": self.missed(),
            "note": self.note,
        }
