"""Nothing that came over the wire moves the terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.state.sanitise import StreamSanitiser, one_line, sanitise


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bP1$r\x1b\\x", "x"),
        ("\x9b2Jgone", "gone"),
        ("10%\r50%\r100%\nnext\r\n", "100%\nnext\n"),
        ("a\x00\x08\x7fb", "ab"),
        ("left\u202eright", "leftright"),
        ("lone \ud800 half", "lone \ufffd half"),
        ("\x1b(B\x1b=keys", "keys"),
        ("unfinished \x1b[3", "unfinished [3"),
    ],
)
def test_removes_what_is_not_text(raw: str, shown: str) -> None:
    assert sanitise(raw) == shown


@given(st.text(st.characters(codec=None), max_size=300))
def test_leaves_only_printable_text(raw: str) -> None:
    for character in sanitise(raw):
        assert character in "\n\t" or character.isprintable() or ord(character) >= 0xA0
    sanitise(raw).encode("utf-8")


@given(
    st.lists(st.sampled_from(["a", "\x1b", "[", "31", "m", "\x07", "]", "0;t", "\n"]), max_size=40)
)
def test_pieces_never_let_an_escape_through(pieces: list[str]) -> None:
    stream = StreamSanitiser()
    assert "\x1b" not in "".join(stream.feed(piece) for piece in pieces)


def test_a_sequence_cut_in_two_vanishes_whole() -> None:
    stream = StreamSanitiser()
    assert stream.feed("ok \x1b[3") == "ok "
    assert stream.feed("1mred") == "red"
    assert stream.feed("\x1b]0;long") == ""
    assert stream.feed(" title\x07.") == "."


def test_a_long_line_becomes_one_short_line() -> None:
    assert one_line("a\n b\t c") == "a b c"
    assert len(one_line("x" * 10_000)) == 200


def test_many_unfinished_sequences_cost_little() -> None:
    assert "\x1b" not in sanitise("\x1b]" * 50_000 + "end")
