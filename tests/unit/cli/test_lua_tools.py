"""What `jido lua` can be asked for, and how its words become arguments of a tool."""

from __future__ import annotations

import pytest

from orchestrator.cli import main
from orchestrator.cli.lua_tools import Asked, asked


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("--tools", "x.lua"), "--tools lists"),
        (("--tools", "--tool", "x"), "--tools lists"),
        (("--arguments", "{}"), "belong to a tool"),
        ((), "Give one script"),
        (("a.lua", "b.lua"), "Give one script"),
        (("--tool", "x", "word"), "Write key=value"),
        (("--tool", "x", "--arguments", "{"), "not JSON"),
        (("--tool", "x", "--arguments", "[]"), "one JSON object"),
        (("--tool", "x", "--arguments", "{}", "a=b"), "not both"),
    ],
)
def test_what_cannot_be_meant(
    arguments: tuple[str, ...], fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.invoke(["lua", *arguments]) == 125
    shown = capsys.readouterr()
    assert shown.out == ""
    assert len(shown.err.splitlines()) == 1
    assert fault in shown.err


def test_what_is_asked() -> None:
    assert asked(["a.lua"], None, None, False) is None
    assert asked([], None, None, True) == Asked(None)
    assert asked([], "x", '{"a": [1]}', False) == Asked("x", {"a": [1]})
    pairs = asked(["a=b=c", "d="], "x", None, False)
    assert pairs == Asked("x", None, (("a", "b=c"), ("d", "")))
