"""What an imported conversation may bring to a model.

Owns the closed set of what the agent library's messages may be made of. Refuses
addresses: the library would fetch what they name, from the worker's network.
"""

from __future__ import annotations

from typing import Any, Final

from orchestrator.domain.errors import InvalidRequest

MAX_NESTING: Final = 64
"""Lists and objects within one another."""

_KINDS: Final[dict[str, frozenset[str]]] = {
    "request": frozenset(
        {
            "system-prompt",
            "user-prompt",
            "tool-return",
            "builtin-tool-return",
            "retry-prompt",
            "retry-feedback",
            "instruction",
            "instruction-delta",
            "instruction-digest",
            "instruction-baseline",
            "tool-availability-delta",
            "model-settings-delta",
            "compaction",
        }
    ),
    "response": frozenset(
        {"text", "thinking", "tool-call", "builtin-tool-call", "builtin-tool-return", "compaction"}
    ),
}
"""Kind of message to the kinds of its parts."""

_REQUIRED: Final[dict[str, frozenset[str]]] = {
    "user-prompt": frozenset({"content"}),
    "tool-return": frozenset({"tool_name", "tool_call_id", "content"}),
    "text": frozenset({"content"}),
    "thinking": frozenset({"content"}),
    "tool-call": frozenset({"tool_name", "tool_call_id"}),
}
"""Kinds of parts to the fields without which no model can be sent them."""

_FETCHED: Final = frozenset(
    {"image-url", "video-url", "audio-url", "document-url", "uploaded-file", "file"}
)


def check_nesting(value: Any) -> None:
    """Raise InvalidRequest when `value` is nested deeper than any session is."""
    level = [value]
    for _ in range(MAX_NESTING):
        level = [child for each in level for child in _children(each)]
        if not level:
            return
    raise InvalidRequest(
        f"The document is nested more than {MAX_NESTING} deep; no export is. Use a file made by "
        "an export."
    )


def check_model_history(history: list[dict[str, Any]]) -> None:
    """Raise InvalidRequest for anything but messages the agent may have written."""
    for number, message in enumerate(history):
        kind, parts = message.get("kind"), message.get("parts")
        allowed = _KINDS.get(kind) if isinstance(kind, str) else None
        if allowed is None or not isinstance(parts, list):
            raise _refused(number, "it is no message of a model")
        for part in parts:
            part_kind = part.get("part_kind") if isinstance(part, dict) else None
            if not isinstance(part_kind, str) or part_kind not in allowed:
                raise _refused(number, "it holds a part that no session has")
            if not _REQUIRED.get(part_kind, frozenset()) <= part.keys():
                raise _refused(number, "it holds a part that lacks what it needs")
        if _names_address(parts):
            raise _refused(number, "it holds an address to be fetched, which is not taken in")


def _names_address(value: Any) -> bool:
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict) and _is_fetched(each):
            return True
        waiting += _children(each)
    return False


def _is_fetched(value: dict[str, Any]) -> bool:
    kind = value.get("kind")
    return isinstance(kind, str) and kind in _FETCHED and bool({"url", "file_id"} & value.keys())


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _refused(number: int, why: str) -> InvalidRequest:
    field = f"model_history.{number}"
    return InvalidRequest(
        f"This is no exported session: “{field}” is not usable: {why}. Use a file made by an "
        "export.",
        field=field,
    )
