"""Anthropic messages."""

from __future__ import annotations

import json
from typing import Any

from tests.support.model_server.openai_chat import arguments_of
from tests.support.model_server.script import Failure, Reply

PATH = "/messages"

_ERROR_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def _blocks(reply: Reply, identifier: str) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if reply.reasoning:
        blocks.append({"type": "thinking", "thinking": reply.reasoning, "signature": "signed"})
    if reply.text:
        blocks.append({"type": "text", "text": reply.text})
    for index, call in enumerate(reply.calls):
        blocks.append(
            {
                "type": "tool_use",
                "id": f"toolu_{identifier}_{index}",
                "name": call.name,
                "input": json.loads(arguments_of(call)),
            }
        )
    return blocks


def whole(reply: Reply, model: str, identifier: str) -> dict[str, Any]:
    """Return the answer as one body."""
    return {
        "id": f"msg_{identifier}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": _blocks(reply, identifier),
        "stop_reason": "tool_use" if reply.calls else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": reply.input_tokens, "output_tokens": reply.output_tokens},
    }


def stream(reply: Reply, model: str, identifier: str) -> list[tuple[str | None, str]]:
    """Return the answer's events."""
    events: list[dict[str, Any]] = []
    message = {
        **whole(reply, model, identifier),
        "content": [],
        "stop_reason": None,
        "usage": {"input_tokens": reply.input_tokens, "output_tokens": 1},
    }
    events.append({"type": "message_start", "message": message})
    for index, block in enumerate(_blocks(reply, identifier)):
        opened, deltas = _opened(block, reply)
        events.append({"type": "content_block_start", "index": index, "content_block": opened})
        events += [
            {"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas
        ]
        events.append({"type": "content_block_stop", "index": index})
    stop = "tool_use" if reply.calls else "end_turn"
    events.append(
        {
            "type": "message_delta",
            "delta": {"stop_reason": stop, "stop_sequence": None},
            "usage": {"output_tokens": reply.output_tokens},
        }
    )
    events.append({"type": "message_stop"})
    return [(event["type"], json.dumps(event)) for event in events]


def _opened(block: dict[str, Any], reply: Reply) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    if block["type"] == "text":
        return {**block, "text": ""}, [
            {"type": "text_delta", "text": word} for word in reply.chunks()
        ]
    if block["type"] == "thinking":
        return {**block, "thinking": "", "signature": ""}, [
            {"type": "thinking_delta", "thinking": block["thinking"]},
            {"type": "signature_delta", "signature": block["signature"]},
        ]
    text = json.dumps(block["input"])
    half = len(text) // 2
    return {**block, "input": {}}, [
        {"type": "input_json_delta", "partial_json": piece} for piece in (text[:half], text[half:])
    ]


def error(failure: Failure) -> dict[str, Any]:
    """Return the body of a failure."""
    kind = _ERROR_TYPES.get(failure.status, "api_error")
    return {"type": "error", "error": {"type": kind, "message": failure.message}}
