"""Reads the newest prompt, and how often the model answered it, out of a request's body."""

from __future__ import annotations

from typing import Any


def text_of(content: object) -> str:
    """Return the words of a message's content in any of the protocols."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(
            str(part["text"]) for part in content if isinstance(part, dict) and "text" in part
        )
    return ""


def _prompt_of(item: dict[str, Any]) -> str | None:
    """Return the words of a prompt; None for anything else, reminders and results included."""
    if item.get("role") != "user":
        return None
    content = item.get("content")
    if isinstance(content, list):
        content = [
            part
            for part in content
            if isinstance(part, dict) and "<plan-reminder>" not in str(part.get("text", ""))
        ]
        if any(part.get("type") == "tool_result" for part in content):
            return None
    text = text_of(content)
    return text if text and "plan-reminder>" not in text else None


def _google_place(contents: list[dict[str, Any]]) -> tuple[str, int]:
    """The same for Google, whose results are turns of the user as well."""
    newest, prompt = -1, ""
    for index, content in enumerate(contents):
        parts = [p for p in content.get("parts", []) if "plan-reminder>" not in p.get("text", "")]
        answers = any("functionResponse" in part for part in parts)
        if content.get("role") == "user" and not answers and (text := text_of(parts)):
            newest, prompt = index, text
    since = contents[newest + 1 :]
    return prompt, sum(1 for content in since if content.get("role") == "model")


def place(body: dict[str, Any]) -> tuple[str, int]:
    """Return the newest prompt and how many answers with calls followed it."""
    if "contents" in body:
        return _google_place(body["contents"])
    items = body.get("messages") or body.get("input") or []
    if isinstance(items, str):
        return items, 0
    newest, prompt = -1, ""
    for index, item in enumerate(items):
        found = _prompt_of(item)
        if found is not None:
            newest, prompt = index, found
    since = items[newest + 1 :]
    if "messages" in body:
        return prompt, sum(1 for item in since if item.get("role") == "assistant")
    kinds = [item.get("type") for item in since]
    # Several items make one answer of the responses protocol: count where their calls end.
    return prompt, sum(
        1
        for kind, after in zip(kinds, [*kinds[1:], None], strict=False)
        if kind == "function_call" and after != "function_call"
    )
