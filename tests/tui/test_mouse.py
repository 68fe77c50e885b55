"""The client by mouse: tabs, folding, the wheel, selecting and copying."""

from __future__ import annotations

from textual.events import MouseScrollDown, MouseScrollUp

from tests.support.scripted_api import ScriptedApi
from tests.tui.conftest import PROJECT, Client, OpenClient
from tui.widgets.popup import Popup
from tui.widgets.tab_bar import TabBar


def fill(api: ScriptedApi, session_id: str, calls: int) -> None:
    turn = api.begin_turn(session_id, "go")
    for number in range(calls):
        call = {"turn_id": turn.id, "call_id": f"c{number}"}
        arguments = {"path": f"datei-日本{number}.py"}
        api.emit(session_id, "tool.call", {**call, "name": "read_file", "arguments": arguments})
        result = {"status": "ok", "text": f"content {number}", "elapsed_ms": 1.0}
        api.emit(session_id, "tool.result", {**call, **result})


def row_of(client: Client, text: str) -> int:
    rows = client.screen_text().split("\n")
    return next(y for y, row in enumerate(rows) if text in row) - client.view.region.y


async def test_selects_and_copies(api: ScriptedApi, open_client: OpenClient) -> None:
    session = api.add_session(PROJECT)
    fill(api, session.id, 3)
    async with open_client() as client:
        await client.sees("datei-日本2.py")
        top, bottom = row_of(client, "本0.py"), row_of(client, "本2.py")
        view = client.view
        await client.pilot.mouse_down(view, offset=(4, top))
        await client.pilot.hover(view, offset=(20, bottom - 1))
        await client.pilot.hover(view, offset=(30, bottom))
        await client.pilot.pause(0.1)
        client.screen_text()
        await client.pilot.mouse_up(view, offset=(30, bottom))
        await client.pilot.pause(0.1)
        await client.pilot.press("ctrl+c")
        copied = client.app.clipboard
    assert copied.startswith("Read datei-日本0.py")
    assert copied.split("\n")[1].startswith("✓ Read datei-日本1.py")
    assert "▏" not in copied


async def test_clicks_fold_scroll_and_switch(api: ScriptedApi, open_client: OpenClient) -> None:
    session = api.add_session(PROJECT)
    api.add_session("/work/other")
    fill(api, session.id, 60)
    async with open_client() as client:
        await client.sees("本59.py")
        view = client.view
        await client.pilot.click(view, offset=(6, row_of(client, "本58.py")))
        await client.sees("content 58")
        for _ in range(5):
            view.post_message(MouseScrollUp(view, 1, 1, 0, 0, 0, False, False, False))
        await client.sees("↓ 15 rows")
        view.post_message(MouseScrollDown(view, 1, 1, 0, 0, 0, False, False, False))
        await client.sees("↓ 12 rows")
        await client.pilot.click(view, offset=(6, view.size.height - 1))
        await client.loses("rows ")
        await client.pilot.click(TabBar, offset=(18, 0))
        await client.sees("/work/other")
        await client.type("/co", enter=False)
        await client.sees("/config", "/cost")
        await client.pilot.click(Popup, offset=(4, 1))
        await client.until(lambda: client.prompt.text == "/cost")


async def test_the_count_below_goes_on_counting(api: ScriptedApi, open_client: OpenClient) -> None:
    session = api.add_session(PROJECT)
    fill(api, session.id, 60)
    async with open_client() as client:
        await client.sees("本59.py")
        view = client.view
        for _ in range(5):
            view.post_message(MouseScrollUp(view, 1, 1, 0, 0, 0, False, False, False))
        await client.sees("↓ 15 rows")
        call = {"turn_id": "t", "call_id": "later"}
        api.emit(session.id, "tool.call", {**call, "name": "read_file", "arguments": {"path": "z"}})
        await client.sees("↓ 16 rows")
