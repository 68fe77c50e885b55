"""How values become JSON in Redis, and JSON values again.

Owns tolerance for hostile text: a lone surrogate becomes a question mark and a
number that JSON lacks becomes null, so that nothing said can make a write fail.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from pydantic_core import PydanticSerializationError, to_json, to_jsonable_python


def encode(value: Any) -> bytes:
    """Return `value` (JSON values, models, dates) as one line of JSON."""
    try:
        return to_json(value, inf_nan_mode="null")
    except PydanticSerializationError:
        plain = to_jsonable_python(value, inf_nan_mode="null")
        return json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode(
            "utf-8", errors="replace"
        )


def decode_object(text: str) -> dict[str, Any]:
    """Return the JSON object in `text`, which this store wrote."""
    value: dict[str, Any] = json.loads(text)
    return value


def utc_now() -> datetime:
    """Return the present moment in UTC: the one clock of the store."""
    return datetime.now(UTC)
