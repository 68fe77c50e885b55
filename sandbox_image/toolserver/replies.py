"""Answers of operations: an object, and bytes beside it."""

from __future__ import annotations

import json

from sandbox_image.toolserver.errors import ToolFailure
from sandbox_image.toolserver.wire import MAX_PAYLOAD_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    Reply = tuple[dict[str, object], bytes]

_encode_json = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


def json_reply(found: object, **result: object) -> Reply:
    """Answer with `found` as JSON in the payload; raises `too_large`."""
    data = _encode_json(found).encode("ascii")
    if len(data) > MAX_PAYLOAD_BYTES:
        raise ToolFailure("too_large", "the answer is larger than one reply may be")
    return result, data
