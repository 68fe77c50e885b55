"""Pictures of the main states, compared with those approved."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pytest_textual_snapshot import SVGImageExtension  # type: ignore[import-untyped]
from syrupy.assertion import SnapshotAssertion

from orchestrator.domain.models import SessionConfig
from tests.support.scripted_api import TOKEN, ScriptedApi
from tests.tui.conftest import PROJECT, Client
from tui.app import JidoApp
from tui.found import Found

Story = Callable[[ScriptedApi, Client], Awaitable[None]]
MODEL = SessionConfig(provider="anthropic", model="claude-sonnet")
ANSWER = """Two things were wrong in `src/parser.py`:

1. The **last token** was dropped.
2. An empty line counted as one.

```python
def tokens(text: str) -> list[str]:
    return text.split()  # blanks of any kind
```

| file | lines |
|---|---:|
| parser.py | 48 |
"""


async def empty(api: ScriptedApi, client: Client) -> None:
    await client.sees("Sandbox ready")


async def answered(api: ScriptedApi, client: Client) -> None:
    session = next(iter(api.sessions.values()))
    await client.live(session.id)
    turn = api.begin_turn(session.id, "find out why the last token is lost, and repair it")
    thought = {"turn_id": turn.id, "message_id": "m1", "text": "The tokenizer first."}
    api.emit(session.id, "reasoning.delta", thought)
    calls: list[tuple[str, dict[str, Any], str]] = [
        ("read_file", {"path": "src/parser.py"}, "1\n2\n3"),
        ("edit_file", {"path": "src/parser.py", "old_string": "a", "new_string": "b\nc"}, "ok"),
        ("run_command", {"command": "pytest -q"}, "E  assert 1 == 2\n1 failed\n[exit code: 1]"),
    ]
    for number, (name, arguments, text) in enumerate(calls):
        call = {"turn_id": turn.id, "call_id": f"c{number}"}
        api.emit(session.id, "tool.call", {**call, "name": name, "arguments": arguments})
        result = {**call, "status": "ok", "text": text, "elapsed_ms": 40.0 * number + 3}
        api.emit(session.id, "tool.result", result)
    api.say(session.id, turn, ANSWER)
    api.finish(turn)
    await client.sees("done · anthropic", "parser.py  ")


async def asked(api: ScriptedApi, client: Client) -> None:
    session = next(iter(api.sessions.values()))
    await client.live(session.id)
    turn = api.begin_turn(session.id, "clean up")
    data = {"turn_id": turn.id, "call_id": "c1", "tool": "run_command", "reason": "Commands ask."}
    api.emit(session.id, "approval.requested", {**data, "arguments": {"command": "rm -rf build"}})
    await client.sees("Allow running")
    await client.type("and then", enter=False)
    await client.sees("and then")


async def choosing(api: ScriptedApi, client: Client) -> None:
    await client.sees("Sandbox ready")
    await client.type("/", enter=False)
    await client.sees("/session")


@pytest.mark.parametrize(
    ("name", "story", "size", "theme"),
    [
        ("empty", empty, (100, 30), "dark"),
        ("answered", answered, (100, 36), "dark"),
        ("answered_light", answered, (100, 36), "light"),
        ("asked", asked, (100, 24), "dark"),
        ("choosing", choosing, (80, 24), "dark"),
        ("small", answered, (40, 12), "dark"),
    ],
)
async def test_pictures(
    name: str,
    story: Story,
    size: tuple[int, int],
    theme: str,
    api: ScriptedApi,
    snapshot: SnapshotAssertion,
) -> None:
    api.add_session(PROJECT, config=SessionConfig() if story is empty else MODEL)
    api.add_session("/work/web client", config=MODEL)
    app = JidoApp(lambda: Found(api.url, TOKEN), PROJECT)
    async with app.run_test(size=size) as pilot:
        app.choose_theme(theme)
        client = Client(app, pilot)
        await story(api, client)
        await pilot.pause(0.3)
        picture = app.export_screenshot()
    assert picture == snapshot(name=name, extension_class=SVGImageExtension)
