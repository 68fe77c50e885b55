"""OpenAI responses."""

from __future__ import annotations

import json
from typing import Any

from tests.support.model_server.openai_chat import arguments_of, error
from tests.support.model_server.script import Reply

__all__ = ["PATH", "error", "stream", "whole"]

PATH = "/responses"


def _message(reply: Reply, identifier: str) -> dict[str, Any]:
    content = [{"type": "output_text", "text": reply.text, "annotations": []}]
    return {
        "id": f"msg_{identifier}",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": content,
    }


def _items(reply: Reply, identifier: str) -> list[dict[str, Any]]:
    items = [_message(reply, identifier)] if reply.text else []
    items += [
        {
            "id": f"fc_{identifier}_{index}",
            "type": "function_call",
            "call_id": f"call_{identifier}_{index}",
            "name": call.name,
            "arguments": arguments_of(call),
            "status": "completed",
        }
        for index, call in enumerate(reply.calls)
    ]
    return items


def whole(reply: Reply, model: str, identifier: str, *, done: bool = True) -> dict[str, Any]:
    """Return the answer as one body; not `done`, as it stands before its first item."""
    usage = {
        "input_tokens": reply.input_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": reply.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": reply.input_tokens + reply.output_tokens,
    }
    return {
        "id": f"resp_{identifier}",
        "object": "response",
        "created_at": 1,
        "status": "completed" if done else "in_progress",
        "model": model,
        "output": _items(reply, identifier) if done else [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": usage if done else None,
    }


def stream(reply: Reply, model: str, identifier: str) -> list[tuple[str | None, str]]:
    """Return the answer's events."""
    events: list[dict[str, Any]] = []

    def add(kind: str, **fields: Any) -> None:
        events.append({"type": kind, "sequence_number": len(events), **fields})

    add("response.created", response=whole(reply, model, identifier, done=False))
    for index, item in enumerate(_items(reply, identifier)):
        at = {"item_id": item["id"], "output_index": index}
        if item["type"] == "message":
            opened = {**item, "status": "in_progress", "content": []}
            add("response.output_item.added", output_index=index, item=opened)
            part = {"type": "output_text", "text": "", "annotations": []}
            add("response.content_part.added", **at, content_index=0, part=part)
            for word in reply.chunks():
                add("response.output_text.delta", **at, content_index=0, delta=word, logprobs=[])
            add("response.output_text.done", **at, content_index=0, text=reply.text, logprobs=[])
            whole_part = item["content"][0]
            add("response.content_part.done", **at, content_index=0, part=whole_part)
        else:
            opened = {**item, "status": "in_progress", "arguments": ""}
            add("response.output_item.added", output_index=index, item=opened)
            text = item["arguments"]
            add("response.function_call_arguments.delta", **at, delta=text)
            add("response.function_call_arguments.done", **at, arguments=text, name=item["name"])
        add("response.output_item.done", output_index=index, item=item)
    add("response.completed", response=whole(reply, model, identifier))
    return [(event["type"], json.dumps(event)) for event in events]
