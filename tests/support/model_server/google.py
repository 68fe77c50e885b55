"""Google's generateContent."""

from __future__ import annotations

import json
from typing import Any

from tests.support.model_server.openai_chat import arguments_of
from tests.support.model_server.script import Failure, Reply

PATH = ":streamGenerateContent"

_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
}


def _calls(reply: Reply, identifier: str) -> list[dict[str, Any]]:
    return [
        {
            "functionCall": {
                "id": f"call_{identifier}_{index}",
                "name": call.name,
                "args": json.loads(arguments_of(call)),
            }
        }
        for index, call in enumerate(reply.calls)
    ]


def _answer(
    parts: list[dict[str, Any]], reply: Reply, model: str, identifier: str, *, last: bool
) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
    if last:
        candidate["finishReason"] = "STOP"
    return {
        "candidates": [candidate],
        "modelVersion": model or "scripted",
        "responseId": f"response_{identifier}",
        "usageMetadata": {
            "promptTokenCount": reply.input_tokens,
            "candidatesTokenCount": reply.output_tokens,
            "totalTokenCount": reply.input_tokens + reply.output_tokens,
        },
    }


def whole(reply: Reply, model: str, identifier: str) -> dict[str, Any]:
    """Return the answer as one body."""
    said = [{"text": reply.text}] if reply.text else []
    return _answer([*said, *_calls(reply, identifier)], reply, model, identifier, last=True)


def stream(reply: Reply, model: str, identifier: str) -> list[tuple[str | None, str]]:
    """Return the answer's chunks; a call always comes whole."""
    pieces: list[dict[str, Any]] = []
    if reply.reasoning:
        pieces.append({"text": reply.reasoning, "thought": True})
    pieces += [{"text": word} for word in reply.chunks()]
    pieces += _calls(reply, identifier)
    chunks = [_answer([piece], reply, model, identifier, last=False) for piece in pieces]
    chunks.append(_answer([{"text": ""}], reply, model, identifier, last=True))
    return [(None, json.dumps(chunk)) for chunk in chunks]


def error(failure: Failure) -> dict[str, Any]:
    """Return the body of a failure."""
    status = _STATUSES.get(failure.status, "INTERNAL")
    return {"error": {"code": failure.status, "message": failure.message, "status": status}}
