"""From the agent library's messages to what a reader sees, and back to JSON.

Owns the mapping of parts, bounded in size. Refuses to decide what is recorded
and when.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from pydantic import ValidationError
from pydantic_ai.messages import (
    BinaryContent,
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelResponse,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
)

from orchestrator.domain import message as domain
from orchestrator.domain.errors import JidoError
from orchestrator.domain.message import ToolStatus


class HistoryUnreadable(JidoError):
    """A conversation that was imported, or kept by another version, is no conversation here."""

    code = "history_unreadable"


MAX_SHOWN_CHARACTERS: Final = 65_536
"""Characters of one argument or result that a reader is shown; the rest is cut and marked."""

_STATUS_BY_OUTCOME: Final[dict[str, ToolStatus]] = {
    "success": "ok",
    "failed": "error",
    "retried": "error",
    "denied": "denied",
    "interrupted": "interrupted",
}


def bounded(text: str, limit: int = MAX_SHOWN_CHARACTERS) -> str:
    """Return `text`, or its head and tail around a mark when it is longer than `limit`."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]}\n[… {len(text) - 2 * half:,} characters not shown …]\n{text[-half:]}"


def arguments_of(part: ToolCallPart) -> dict[str, Any]:
    """Return a call's arguments for a reader; what is no JSON object has a key that says so."""
    return {str(key): _bounded_value(value) for key, value in part.args_as_dict().items()}


def _bounded_value(value: Any) -> Any:
    if isinstance(value, str):
        return bounded(value)
    if isinstance(value, list):
        return [_bounded_value(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _bounded_value(item) for key, item in value.items()}
    return value


def result_text(part: ToolReturnPart) -> str:
    """Return what a tool answered, as text for a reader."""
    content = part.content
    if isinstance(content, str):
        return bounded(content)
    if isinstance(content, list):
        return bounded("\n".join(_piece(item) for item in content))
    return bounded(part.model_response_str())


def _piece(item: object) -> str:
    if isinstance(item, BinaryContent):
        return f"[{item.media_type}, {len(item.data):,} bytes]"
    return str(item)


def result_status(part: ToolReturnPart) -> ToolStatus:
    """Return the status that the library's outcome stands for."""
    return _STATUS_BY_OUTCOME.get(part.outcome, "error")


def response_parts(response: ModelResponse) -> list[domain.Part]:
    """Return the parts of an answer that a reader sees."""
    parts: list[domain.Part] = []
    for part in response.parts:
        if isinstance(part, TextPart) and part.content:
            parts.append(domain.TextPart(text=part.content))
        elif isinstance(part, ThinkingPart) and part.content:
            parts.append(domain.ReasoningPart(text=part.content))
        elif isinstance(part, ToolCallPart):
            parts.append(
                domain.ToolCallPart(
                    call_id=part.tool_call_id, name=part.tool_name, arguments=arguments_of(part)
                )
            )
    return parts


def result_parts(
    parts: list[ToolReturnPart], statuses: Mapping[str, ToolStatus]
) -> list[domain.Part]:
    """Return results as a reader sees them; `statuses` by call wins over the library's outcome."""
    return [
        domain.ToolResultPart(
            call_id=part.tool_call_id,
            status=statuses.get(part.tool_call_id, result_status(part)),
            text=result_text(part),
        )
        for part in parts
    ]


def to_json(message: ModelMessage) -> dict[str, Any]:
    """Return the library's JSON object of one message."""
    dumped = ModelMessagesTypeAdapter.dump_python([message], mode="json")
    return cast("dict[str, Any]", dumped[0])


def from_json(history: list[dict[str, Any]]) -> list[ModelMessage]:
    """Return messages of the library's JSON objects; raises HistoryUnreadable."""
    try:
        return ModelMessagesTypeAdapter.validate_python(history)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in fault["loc"])[:100]
        raise HistoryUnreadable(
            f"What the model was told before cannot be read ({place}: {fault['msg']}). The "
            "transcript stays; go on in a new session."
        ) from error
