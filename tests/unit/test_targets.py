"""Which session a person means, and under which names sessions are shown."""

from __future__ import annotations

import pytest

from orchestrator.domain.config_words import config_value
from orchestrator.domain.errors import (
    InvalidArgument,
    JidoError,
    SavedSessionNotFound,
    SessionNotFound,
)
from orchestrator.domain.names import shown_names
from orchestrator.domain.targets import AmbiguousTarget, Named, find_live, find_saved

IDS = [f"{n:08x}-0000-4000-8000-000000000000" for n in range(1, 13)]


def live(target: str, *names: str) -> str:
    """The number that a target means among sessions of these names."""
    named = [Named(id_, name) for id_, name in zip(IDS, names, strict=False)]
    return str(IDS.index(find_live(target, named, lambda each: each).id) + 1)


TEN = [f"name {n}" for n in range(1, 11)]


@pytest.mark.parametrize(
    ("target", "names", "meant"),
    [
        ("1", TEN, "1"),
        ("0", TEN, "10"),
        ("10", TEN, "10"),
        ("11", [*TEN, "one more"], "11"),
        (IDS[2], TEN, "3"),
        (IDS[2].upper(), TEN, "3"),
        (IDS[2][:8], TEN, "3"),
        ("name 4", TEN, "4"),
        ("NAME 4", TEN, "4"),
        ("beta", ["alphabet", "Beta", "beta"], "3"),
        ("alp", ["Alpha", "beta"], "1"),
        ("a", ["ab", "a"], "2"),
        ("été", ["Été en ville"], "1"),
        # A name of digits: the number wins where there is one, the name where there is none.
        ("7", ["one", "7"], "2"),
        ("1", ["x", "1"], "1"),
        ("2:1", ["x", "1"], "2"),
        ("2:be", ["alpha", "beta"], "2"),
        # Equal names are shown apart, and meant so.
        ("same", ["same", "same"], "1"),
        ("same (2)", ["same", "same"], "2"),
        ("two words", ["two words", "two"], "1"),
    ],
)
def test_a_session_is_meant_by(target: str, names: list[str], meant: str) -> None:
    assert live(target, *names) == meant


@pytest.mark.parametrize("target", ["zzz", "3", "0", "", "  ", "3:alpha", "2:alpha", "000", "٣"])
def test_what_names_no_session_is_told_with_those_there_are(target: str) -> None:
    with pytest.raises(SessionNotFound, match=r"Open: 1:alpha, 2:beta\.") as raised:
        live(target, "alpha", "beta")
    assert raised.value.detail.isprintable()


def test_several_candidates_are_named() -> None:
    with pytest.raises(AmbiguousTarget, match="1:parser, 3:PARADE") as raised:
        live("par", "parser", "other", "PARADE")
    assert raised.value.extra["candidates"] == [IDS[0], IDS[2]]
    with pytest.raises(AmbiguousTarget, match="and 2 more"):
        live("n", *[f"n{n}" for n in range(12)])


def test_what_was_typed_cannot_move_the_cursor() -> None:
    with pytest.raises(SessionNotFound) as raised:
        live("\x1b[2J" + "x" * 500, "alpha")
    assert raised.value.detail.isprintable()
    assert len(raised.value.detail) < 200


def test_nothing_open_and_nothing_saved_say_so() -> None:
    with pytest.raises(SessionNotFound, match="No session is open"):
        live("1")
    with pytest.raises(SavedSessionNotFound, match="There are no saved sessions"):
        find_saved("1", [], lambda each: each)


def test_saved_sessions_are_meant_alike() -> None:
    named = [Named(id_, name) for id_, name in zip(IDS, ["new", "old", "old"], strict=False)]

    def meant(target: str) -> int:
        return named.index(find_saved(target, named, lambda each: each)) + 1

    assert [meant(t) for t in ("1", "3", "new", IDS[1], "3:old")] == [1, 3, 1, 2, 3]
    with pytest.raises(AmbiguousTarget, match="2:old, 3:old"):
        meant("old")
    for target in ("0", "4", "zzz"):
        with pytest.raises(SavedSessionNotFound, match="Use 1 to 3"):
            meant(target)


def test_names_are_unique_as_they_are_shown() -> None:
    assert shown_names(["a", "b"]) == ["a", "b"]
    assert shown_names(["a", "a", "a (2)", "a"]) == ["a", "a (3)", "a (2)", "a (4)"]
    long = shown_names(["x" * 50, "x" * 50])
    assert [len(name) for name in long] == [50, 50]
    assert long[1].endswith(" (2)")


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("temperature", "0", 0.0),
        ("temperature", "default", None),
        ("max_tokens", "100", 100),
        ("max_tokens", "none", None),
        ("model", "openai:x", "openai:x"),
        ("provider", "default", "default"),
    ],
)
def test_values_as_typed(key: str, text: str, value: object) -> None:
    assert config_value(key, text) == value


@pytest.mark.parametrize(
    ("key", "text", "code"),
    [
        ("temperature", "warm", "invalid_temperature"),
        ("temperature", "nan", "invalid_temperature"),
        ("max_tokens", "1.5", "invalid_max_tokens"),
        ("temprature", "1", "invalid_argument"),
        ("colour", "red", "invalid_argument"),
    ],
)
def test_values_that_mean_nothing(key: str, text: str, code: str) -> None:
    with pytest.raises(JidoError) as raised:
        config_value(key, text)
    assert raised.value.code == code


def test_an_unknown_setting_names_the_nearest_or_all() -> None:
    with pytest.raises(InvalidArgument, match="Did you mean temperature"):
        config_value("temprature", "1")
    with pytest.raises(InvalidArgument, match="provider, model, temperature, max_tokens"):
        config_value("colour", "1")
