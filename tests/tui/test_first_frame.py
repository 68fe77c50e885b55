"""The client takes keys before anybody knows where the server is."""

from __future__ import annotations

import threading

from tests.support.scripted_api import TOKEN, ScriptedApi
from tests.tui.conftest import PROJECT, Client
from tui.app import JidoApp
from tui.found import Found


async def test_keys_are_taken_while_the_server_is_looked_for(api: ScriptedApi) -> None:
    found = threading.Event()

    def reach() -> Found:
        found.wait(30)
        return Found(api.url, TOKEN)

    app = JidoApp(reach, PROJECT)
    async with app.run_test(size=(100, 30)) as pilot:
        client = Client(app, pilot)
        try:
            await client.type("hello there")
            assert not api.hits("POST", "/v1/sessions")
        finally:
            found.set()
        await client.sees("1:parser", "You said: hello there")


async def test_a_server_that_cannot_be_found_ends_the_client() -> None:
    def reach() -> Found:
        raise LookupError("nowhere")

    app = JidoApp(reach, PROJECT)
    async with app.run_test(size=(100, 30)) as pilot:
        await Client(app, pilot).until(lambda: app.fault is not None)
    assert isinstance(app.fault, LookupError)
    assert app.return_value == 1


async def test_an_address_that_is_none_ends_the_client() -> None:
    app = JidoApp(lambda: Found("ftp://x", ""), PROJECT)
    async with app.run_test(size=(100, 30)) as pilot:
        await Client(app, pilot).until(lambda: app.fault is not None)
    assert "address" in str(app.fault)


async def test_the_theme_of_the_settings_is_taken_when_they_are_read(api: ScriptedApi) -> None:
    app = JidoApp(lambda: Found(api.url, TOKEN, theme="light"), PROJECT, "high_contrast")
    assert app.theme == "high_contrast"
    async with app.run_test(size=(100, 30)) as pilot:
        await Client(app, pilot).until(lambda: app.theme == "light")
    app = JidoApp(lambda: Found(api.url, TOKEN, theme="pink"), PROJECT)
    async with app.run_test(size=(100, 30)) as pilot:
        await Client(app, pilot).sees("There is no theme “pink”")
        assert app.theme == "dark"
