"""The colours of the client.

Owns one palette per theme: what each role looks like in the transcript and in the frame
around it. One accent; bars carry meaning, words stay calm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours by role, each `#rrggbb`."""

    name: str
    dark: bool
    background: str
    raised: str
    """Behind the prompt, the person's turns and code."""
    text: str
    dim: str
    """Secondary words; still readable."""
    faint: str
    """Marks and rules; not for words that matter."""
    accent: str
    good: str
    bad: str
    warn: str
    question: str
    added: str
    """Behind added lines of a diff."""
    removed: str
    """Behind removed lines of a diff."""
    code_style: str
    """Name of a Pygments style."""


DARK: Final = Palette(
    name="dark",
    dark=True,
    background="#0f1216",
    raised="#171b21",
    text="#d3d7de",
    dim="#8a929f",
    faint="#4b5360",
    accent="#7aa8f0",
    good="#86b98f",
    bad="#e27878",
    warn="#dfb36a",
    question="#b59ae0",
    added="#16261b",
    removed="#2b191b",
    code_style="one-dark",
)
LIGHT: Final = Palette(
    name="light",
    dark=False,
    background="#fbfaf7",
    raised="#f0eee8",
    text="#24292f",
    dim="#626a75",
    faint="#b3b6ba",
    accent="#2860b8",
    good="#2c7a45",
    bad="#b3333a",
    warn="#8f5f00",
    question="#6b46b0",
    added="#e3f2e4",
    removed="#f9e3e2",
    code_style="friendly",
)
HIGH_CONTRAST: Final = Palette(
    name="high_contrast",
    dark=True,
    background="#000000",
    raised="#1a1a1a",
    text="#ffffff",
    dim="#d0d0d0",
    faint="#909090",
    accent="#6fd3ff",
    good="#5dff8a",
    bad="#ff7070",
    warn="#ffd75f",
    question="#e0a8ff",
    added="#003010",
    removed="#400808",
    code_style="github-dark",
)

PALETTES: Final[dict[str, Palette]] = {p.name: p for p in (DARK, LIGHT, HIGH_CONTRAST)}
