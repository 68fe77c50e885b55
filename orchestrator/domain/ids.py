"""Identifiers: how they are made and what a legal one looks like.

Owns the form (UUID version 4, lower case). Refuses meaning: no identifier
carries a path, a name or a time.
"""

from __future__ import annotations

import re
import uuid
from typing import Final

_UUID4: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def new_id() -> str:
    """Return a new random identifier of 36 characters."""
    return str(uuid.uuid4())


def is_id(value: str) -> bool:
    """Say whether `value` has the form of `new_id`; guards every path and key built of it."""
    return _UUID4.fullmatch(value) is not None


def short(identifier: str) -> str:
    """Return the first 8 characters, as used in container names."""
    return identifier[:8]
