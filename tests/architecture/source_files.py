"""The files that the rules are about."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("orchestrator", "sandbox_image", "tui")
EVERYTHING = (*PRODUCT, "tests")


@dataclass(frozen=True)
class SourceFile:
    """One parsed Python file."""

    path: str
    """Relative to the root."""
    text: str
    tree: ast.Module

    @property
    def lines(self) -> list[str]:
        """Lines of the file."""
        return self.text.splitlines()


@cache
def source_files(*rooms: str) -> tuple[SourceFile, ...]:
    """Return every Python file of `rooms`, directories at the root."""
    found = []
    for room in rooms:
        for path in sorted((ROOT / room).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            name = str(path.relative_to(ROOT))
            found.append(SourceFile(name, text, ast.parse(text, name)))
    return tuple(found)
