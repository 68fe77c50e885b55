"""Saved sessions to play with."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.archive.archive import Archive
from orchestrator.archive.document import Contents, Header
from orchestrator.domain.history import HistoryEntry
from orchestrator.domain.ids import new_id
from orchestrator.domain.message import Message, TextPart, Todo
from orchestrator.domain.models import SessionConfig
from orchestrator.domain.session import Usage

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

MakeHeader = Callable[..., Header]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def directory(home: Path) -> Path:
    return home / "sessions"


@pytest.fixture
def archive(home: Path) -> Archive:
    return Archive(home)


def contents_of(*texts: str) -> Contents:
    entries = [
        HistoryEntry(
            message=Message(
                id=new_id(),
                turn_id=new_id(),
                role="user" if number % 2 == 0 else "assistant",
                time=MOMENT,
                parts=[TextPart(text=text)],
            ),
            model={"kind": "request", "parts": [text]},
        )
        for number, text in enumerate(texts)
    ]
    todos = [Todo(id="1", content="first")]
    return Contents(entries=entries, todos=todos, prompt_history=list(texts[::2]))


def header_of(
    name: str = "project", *, session_id: str | None = None, minutes: int = 0, kept: bool = True
) -> Header:
    return Header(
        id=session_id or new_id(),
        name=name,
        project_path="/home/user/project",
        language="python",
        config=SessionConfig(temperature=0.0),
        created_at=MOMENT,
        updated_at=MOMENT + timedelta(minutes=minutes),
        messages=2,
        turns=1,
        usage=Usage(input_tokens=3, output_tokens=4, cost_usd=0.5),
        kept=kept,
    )
