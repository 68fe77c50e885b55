"""A session's configuration as a person types it: `key value`.

Owns which keys there are and how a value is read, the same for the client and for commands.
Whether a value is legal is said where it is merged.
"""

from __future__ import annotations

import difflib
import math
from typing import Final

from orchestrator.domain.errors import InvalidArgument, InvalidMaxTokens, InvalidTemperature

KEYS: Final = ("provider", "model", "temperature", "max_tokens")

DEFAULT_WORDS: Final = ("default", "none")
"""Words that return a number to the provider's default."""


def config_value(key: str, text: str) -> str | float | int | None:
    """Return the value that `text` means for `key`.

    Raises InvalidArgument for an unknown key, InvalidTemperature or InvalidMaxTokens for what is
    no number.
    """
    if key not in KEYS:
        near = difflib.get_close_matches(key, KEYS, n=1, cutoff=0.5)
        hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(KEYS)}."
        raise InvalidArgument(f"“{key[:40]}” is no setting of a session. {hint}")
    if key in ("provider", "model"):
        return text
    if text in DEFAULT_WORDS:
        return None
    return _temperature(text) if key == "temperature" else _max_tokens(text)


def _temperature(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InvalidTemperature(f"temperature takes a number or “default”, not “{text[:40]}”.")
    return value


def _max_tokens(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InvalidMaxTokens(
            f"max_tokens takes a number or “default”, not “{text[:40]}”."
        ) from None
