"""OpenAI chat completions."""

from __future__ import annotations

import json
from typing import Any

from tests.support.model_server.script import Call, Failure, Reply

PATH = "/chat/completions"


def arguments_of(call: Call) -> str:
    """Return the arguments as a provider sends them."""
    return call.raw_arguments if call.raw_arguments is not None else json.dumps(call.arguments)


def _usage(reply: Reply) -> dict[str, int]:
    total = reply.input_tokens + reply.output_tokens
    return {
        "prompt_tokens": reply.input_tokens,
        "completion_tokens": reply.output_tokens,
        "total_tokens": total,
    }


def _calls(reply: Reply, identifier: str) -> list[dict[str, Any]]:
    return [
        {
            "id": f"call_{identifier}_{index}",
            "type": "function",
            "function": {"name": call.name, "arguments": arguments_of(call)},
        }
        for index, call in enumerate(reply.calls)
    ]


def whole(reply: Reply, model: str, identifier: str) -> dict[str, Any]:
    """Return the answer as one body."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.text or None}
    if reply.calls:
        message["tool_calls"] = _calls(reply, identifier)
    finish = "tool_calls" if reply.calls else "stop"
    return {
        "id": f"chatcmpl-{identifier}",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": _usage(reply),
    }


def stream(reply: Reply, model: str, identifier: str) -> list[tuple[str | None, str]]:
    """Return the answer's events."""

    def chunk(delta: dict[str, Any], finish: str | None = None) -> tuple[None, str]:
        body = {
            "id": f"chatcmpl-{identifier}",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        }
        return None, json.dumps(body)

    events: list[tuple[str | None, str]] = [chunk({"role": "assistant", "content": ""})]
    if reply.reasoning:
        events.append(chunk({"reasoning_content": reply.reasoning}))
    events += [chunk({"content": word}) for word in reply.chunks()]
    for index, call in enumerate(_calls(reply, identifier)):
        text = call["function"]["arguments"]
        half = len(text) // 2
        opening = {**call, "index": index, "function": {**call["function"], "arguments": ""}}
        events.append(chunk({"tool_calls": [opening]}))
        for piece in (text[:half], text[half:]):
            part = {"index": index, "function": {"arguments": piece}}
            events.append(chunk({"tool_calls": [part]}))
    events.append(chunk({}, "tool_calls" if reply.calls else "stop"))
    usage = {
        "id": f"chatcmpl-{identifier}",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": model,
        "choices": [],
        "usage": _usage(reply),
    }
    return [*events, (None, json.dumps(usage)), (None, "[DONE]")]


def error(failure: Failure) -> dict[str, Any]:
    """Return the body of a failure."""
    return {
        "error": {"message": failure.message, "type": "scripted", "param": None,
                  "code": failure.code}
    }  # fmt: skip
