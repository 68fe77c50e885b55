"""`offline:demo`: a labelled interpreter that speaks through the same agent code.

Owns what is said and which tool is asked for next. Where it stands follows
from the conversation alone, so a continued turn goes on where it was. Refuses
to look at anything but the messages it is sent.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Final

from pydantic_ai.exceptions import ModelHTTPError, ModelRequestRejectedError
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models.function import (
    AgentInfo,
    DeltaThinkingCalls,
    DeltaThinkingPart,
    DeltaToolCall,
    DeltaToolCalls,
    FunctionModel,
)

from orchestrator.agent.offline.language import HELP, Step, parse

Delta = str | DeltaToolCalls | DeltaThinkingCalls

GREETING: Final = (
    "I am the offline model: a small interpreter built into Jido Code, not a language model. "
    "No key is configured, so nothing leaves this machine. I run the commands you name, with "
    "the real tools, inside the session's sandbox.\n\n"
)
SETUP: Final = (
    "\nFor a real model set a key where the worker runs (`ANTHROPIC_API_KEY`, `OPENAI_API_KEY` or "
    "`GEMINI_API_KEY`; or `JIDO_OPENAI_BASE_URL` for any compatible server), start it again and "
    "choose with `/model provider:model`."
)
FREE: Final = Decimal(0)

_WORDS_A_PAUSE: Final = 8
_PAUSE_S: Final = 0.01
"""Seconds between groups of words, so that streaming can be seen."""
_SHOWN_LINES: Final = 12


class OfflineModel(FunctionModel):
    """Interprets the last prompt, one tool call a request."""

    def __init__(self, name: str) -> None:
        super().__init__(stream_function=respond, model_name=f"offline:{name}")


async def respond(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[Delta]:
    """Stream the answer to the newest request."""
    prompt, results = _since_prompt(messages)
    steps = parse(prompt)
    if not steps:
        async for word in _words(
            f"{GREETING}I understand these commands, one a line:\n\n{HELP}{SETUP}"
        ):
            yield word
        return
    if not results:
        async for word in _words("Offline model: running the commands you named.\n\n"):
            yield word
    else:
        async for word in _words(_comment(results[-1])):
            yield word
    for step in _from_place(steps, len(results)):
        if step.kind == "tool":
            if step.tool not in (known := {tool.name for tool in info.function_tools}):
                async for word in _words(_no_tool(step.tool, known)):
                    yield word
                return
            call_id = f"offline-{len(messages)}-{len(results)}"
            yield {1: DeltaToolCall(step.tool, json.dumps(step.arguments), tool_call_id=call_id)}
            return
        async for delta in _act(step):
            yield delta
    async for word in _words(_summary(steps, results)):
        yield word


def _since_prompt(messages: list[ModelMessage]) -> tuple[str, list[ToolReturnPart]]:
    """Return the newest prompt and the results since; reminders are lists, prompts are text."""
    results: list[ToolReturnPart] = []
    for message in reversed(messages):
        if not isinstance(message, ModelRequest):
            continue
        for part in reversed(message.parts):
            if isinstance(part, ToolReturnPart):
                results.insert(0, part)
            elif isinstance(part, UserPromptPart) and isinstance(part.content, str):
                return part.content, results
    return "", results


def _from_place(steps: list[Step], answered: int) -> list[Step]:
    """Return the steps behind the last one that has its result."""
    place = 0
    for index, step in enumerate(steps):
        if answered == 0:
            break
        if step.kind == "tool":
            answered -= 1
            place = index + 1
    return steps[place:]


def _no_tool(name: str, known: set[str]) -> str:
    return f"There is no tool `{name[:64]}` in this turn. There are: {', '.join(sorted(known))}.\n"


async def _act(step: Step) -> AsyncIterator[Delta]:
    if step.kind == "say":
        async for word in _words(f"{step.text}\n\n"):
            yield word
    elif step.kind == "think":
        async for word in _words(step.text):
            yield {0: DeltaThinkingPart(content=word)}
    elif step.kind == "sleep":
        yield f"(sleeping {step.seconds:g} s)\n\n"
        await asyncio.sleep(step.seconds)
    else:
        raise ModelHTTPError.for_category(
            ModelRequestRejectedError,
            status_code=400,
            model_name="offline:demo",
            body={"error": {"message": f"the offline model fails {step.text}"}},
        )


async def _words(text: str) -> AsyncIterator[str]:
    words = text.split(" ")
    for start in range(0, len(words), _WORDS_A_PAUSE):
        group = " ".join(words[start : start + _WORDS_A_PAUSE])
        yield group if start == 0 else f" {group}"
        if start + _WORDS_A_PAUSE < len(words):
            await asyncio.sleep(_PAUSE_S)


def _comment(result: ToolReturnPart) -> str:
    if result.outcome != "success":
        return f"`{result.tool_name}` did not succeed ({result.outcome}).\n\n"
    lines = _text(result).strip().splitlines()
    shown = "\n".join(line.replace("```", "'''") for line in lines[:_SHOWN_LINES])
    more = f"\n… {len(lines) - _SHOWN_LINES} more lines" if len(lines) > _SHOWN_LINES else ""
    return f"`{result.tool_name}` answered:\n\n```text\n{shown}{more}\n```\n\n"


def _summary(steps: list[Step], results: list[ToolReturnPart]) -> str:
    calls = [step for step in steps if step.kind == "tool"]
    if not calls:
        return "Done."
    done = sum(1 for result in results if result.outcome == "success")
    lines = [
        f"- `{step.text[:80]}`: {'done' if result.outcome == 'success' else result.outcome}"
        for step, result in zip(calls, results, strict=False)
    ]
    return f"Done: {done} of {len(calls)} succeeded.\n\n" + "\n".join(lines) + "\n"


def _text(result: ToolReturnPart) -> str:
    return result.content if isinstance(result.content, str) else result.model_response_str()
