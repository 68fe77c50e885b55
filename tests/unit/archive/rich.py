"""A conversation that holds every kind of part there is, always the same."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from orchestrator.archive.document import Contents, Header
from orchestrator.domain.history import ApprovalRecord, Decision, HistoryEntry
from orchestrator.domain.message import (
    ImagePart,
    Message,
    Part,
    ReasoningPart,
    TextPart,
    Todo,
    ToolCallPart,
    ToolResultPart,
)
from orchestrator.domain.models import SessionConfig
from orchestrator.domain.session import Usage

SESSION_ID = "3f2b8c1e-5d4a-4f6b-8a7c-9e0d1f2a3b4c"
TURN_ID = "7a1d2c3b-4e5f-4a6b-9c8d-0e1f2a3b4c5d"
BEGAN = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)

WORDS = (
    "naïve ✓ 你好 🏳️‍🌈 e\u0301 \u202eright to left\u202c \u2028 "
    "tab\t nul\0 bell\a \x1b[31mred\x1b[0m"
)
STATUSES = ("ok", "error", "timeout", "cancelled", "denied", "interrupted")


def _id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def _message(number: int, role: Any, parts: list[Part], *, interrupted: bool = False) -> Message:
    return Message(
        id=_id(number),
        turn_id=TURN_ID,
        role=role,
        time=BEGAN.replace(second=5 + number),
        interrupted=interrupted,
        parts=parts,
    )


def _calls() -> list[ToolCallPart]:
    nested = {"path": "a b.py", "edits": [{"old": "", "new": WORDS, "times": 0}], "deep": [[[]]]}
    return [
        ToolCallPart(call_id=f"call_{status}", name="edit_file", arguments=nested)
        for status in STATUSES
    ]


def _results() -> list[ToolResultPart]:
    return [
        ToolResultPart(call_id=f"call_{status}", status=status, text="" if i else WORDS)
        for i, status in enumerate(STATUSES)
    ]


def entries() -> list[HistoryEntry]:
    """Return a turn with reasoning, calls, results, a picture and an interrupted answer."""
    time = BEGAN.isoformat().replace("+00:00", "Z")
    asked = {"part_kind": "user-prompt", "content": WORDS, "timestamp": time}
    thought = {"part_kind": "thinking", "content": "step by step", "signature": "c2lnbmVk"}
    called = [
        {
            "part_kind": "tool-call",
            "tool_name": call.name,
            "tool_call_id": call.call_id,
            "args": call.arguments,
        }
        for call in _calls()
    ]
    returned = [
        {
            "part_kind": "tool-return",
            "tool_name": "edit_file",
            "tool_call_id": result.call_id,
            "content": result.text,
            "timestamp": time,
        }
        for result in _results()
    ]
    picture = ImagePart(media_type="image/png", ref="screenshots/1.png")
    return [
        HistoryEntry(message=_message(1, "user", [TextPart(text=WORDS), picture])),
        HistoryEntry(model={"kind": "request", "parts": [asked], "instructions": "Be brief."}),
        HistoryEntry(
            message=_message(
                2,
                "assistant",
                [ReasoningPart(text="step by step"), TextPart(text=""), *_calls()],
            ),
            model={"kind": "response", "parts": [thought, *called], "timestamp": time},
        ),
        HistoryEntry(
            message=_message(3, "assistant", [*_results()]),
            model={"kind": "request", "parts": returned},
        ),
        HistoryEntry(
            message=_message(4, "assistant", [TextPart(text="half a wo")], interrupted=True)
        ),
        HistoryEntry(message=_message(5, "assistant", [])),
        HistoryEntry(),
    ]


def todos() -> list[Todo]:
    """Return a task in every state."""
    return [
        Todo(id="1", content=WORDS, status="pending"),
        Todo(id="2", content="build", status="in_progress", active_form="Building"),
        Todo(id="3", content="test", status="completed"),
        Todo(id="4", content="", status="cancelled"),
    ]


def header() -> Header:
    """Return the header of such a session, closed by its user."""
    return Header(
        id=SESSION_ID,
        name="naïve ✓ v1..2",
        project_path="/home/user/a project/naïve ✓",
        language="python",
        config=SessionConfig(
            provider="anthropic", model="some-model", temperature=0.0, max_tokens=1
        ),
        created_at=BEGAN,
        updated_at=BEGAN.replace(minute=30),
        closed_at=BEGAN.replace(minute=31),
        messages=5,
        turns=1,
        usage=Usage(input_tokens=11, output_tokens=7, cost_usd=0.125),
        kept=True,
    )


def approvals() -> list[ApprovalRecord]:
    """Return a question with every answer, and one without."""
    arguments = {"command": WORDS, "timeout_s": 0.0, "deep": [[[]]]}
    answers: list[tuple[Decision | None, str | None]] = [
        ("once", None),
        ("session", None),
        ("deny", WORDS),
        (None, None),
    ]
    return [
        ApprovalRecord(
            turn_id=TURN_ID,
            call_id=f"call_{number}",
            tool="run_command",
            arguments=arguments,
            reason="it runs a command" if number else None,
            decision=decision,
            answer_reason=reason,
        )
        for number, (decision, reason) in enumerate(answers)
    ]


def contents_of_version_1() -> Contents:
    """Return what version 1 could hold."""
    return Contents(entries=entries(), todos=todos(), prompt_history=[WORDS, "", "again"])


def contents() -> Contents:
    """Return all of it."""
    return contents_of_version_1().model_copy(
        update={"approvals": approvals(), "allowed_tools": ["edit_file", "run_command"]}
    )
