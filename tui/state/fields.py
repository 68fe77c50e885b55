"""Reading JSON whose form nobody guarantees.

Owns the rule that a missing or ill-typed field becomes a default, never an exception: a
newer or broken server must not take the client down.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from tui.state.sanitise import one_line, sanitise

EMPTY: Final[Mapping[str, Any]] = {}


def raw(source: Mapping[str, Any], key: str) -> str:
    """Return a string as it is, empty when it is none; for identifiers and pieces of streams."""
    value = source.get(key)
    return value if isinstance(value, str) else ""


def text(source: Mapping[str, Any], key: str, default: str = "") -> str:
    """Return a sanitised string, line feeds kept."""
    value = source.get(key)
    return sanitise(value) if isinstance(value, str) else default


def label(source: Mapping[str, Any], key: str, default: str = "") -> str:
    """Return a sanitised string of one line, at most 200 characters."""
    value = source.get(key)
    return one_line(value) if isinstance(value, str) else default


def integer(source: Mapping[str, Any], key: str, default: int = 0) -> int:
    """Return a whole number."""
    value = source.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else default


def number(source: Mapping[str, Any], key: str) -> float | None:
    """Return a number; None when there is none."""
    value = source.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)


def mapping(source: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return an object, empty when there is none."""
    value = source.get(key)
    return value if isinstance(value, dict) else EMPTY


def objects(source: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """Return the objects of a list, leaving out whatever else stands in it."""
    value = source.get(key)
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def seconds(source: Mapping[str, Any], key: str) -> float:
    """Return a time of ISO 8601 as seconds since 1970; 0.0 when it is none."""
    value = source.get(key)
    if not isinstance(value, str):
        return 0.0
    try:
        return datetime.fromisoformat(value).timestamp()
    except (ValueError, OverflowError, OSError):
        return 0.0
