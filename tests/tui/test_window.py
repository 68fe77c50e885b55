"""The window over a layout: what is in sight while rows are added and one moves about."""

from __future__ import annotations

from tui.render.layout import Layout
from tui.render.paint import Painter
from tui.render.palette import DARK
from tui.render.window import Window
from tui.state.items import Note, Notice
from tui.state.transcript import Transcript

HEIGHT = 10


def painter(width: int = 40) -> Painter:
    return Painter(DARK, width, lambda: 100.0)


def say(transcript: Transcript, *numbers: int) -> None:
    for number in numbers:
        text = f"message {number}\n\n" + "words " * (number * 7 % 40)
        transcript.complete(f"m{number}", "t", [(False, text)], interrupted=False)


def opened(messages: int = 40) -> tuple[Transcript, Window]:
    transcript = Transcript()
    say(transcript, *range(messages))
    window = Window(Layout(transcript, painter()))
    window.draw(HEIGHT)
    return transcript, window


def in_sight(window: Window) -> list[str]:
    return [window.layout.row(window.top + y).text for y in range(HEIGHT)]


def test_the_end_is_followed() -> None:
    transcript, window = opened()
    assert window.draw(HEIGHT) >= HEIGHT
    say(transcript, 41)
    assert window.draw(HEIGHT) == 0
    assert (window.following, window.below(HEIGHT)) == (True, 0)


def test_what_is_read_stays_in_place_while_rows_are_added() -> None:
    transcript, window = opened()
    window.move(-30, HEIGHT)
    before = in_sight(window)
    say(transcript, 41, 42)
    assert window.draw(HEIGHT) >= HEIGHT
    assert in_sight(window) == before
    assert not window.following
    assert window.below(HEIGHT) > 30
    window.move(1 << 40, HEIGHT)
    assert (window.following, window.below(HEIGHT)) == (True, 0)


def test_another_width_keeps_the_item_at_the_top() -> None:
    _, window = opened()
    window.move(-60, HEIGHT)
    item = window.item_at(0)
    window.redraw(painter(25))
    assert window.item_at(0) is item


def test_walking_goes_from_call_to_call_and_back_to_the_end() -> None:
    transcript, window = opened(0)
    assert not window.walk(-1, HEIGHT)
    for number in range(3):
        transcript.call(f"c{number}", "t", "read_file", {"path": "f"}, 90.0)
        say(transcript, *range(number * 10, number * 10 + 10))
    window.draw(HEIGHT)
    seen = []
    for step in (-1, -1, -1, 1, 1):
        assert window.walk(step, HEIGHT)
        selected = window.layout.selected
        assert selected in [window.item_at(y) for y in range(HEIGHT)]
        seen.append(selected)
    calls = [item for item in transcript.items if item in seen]
    assert seen == [calls[2], calls[1], calls[0], calls[1], calls[2]]
    assert window.walk(1, HEIGHT)
    assert (window.layout.selected, window.following) == (None, True)


def test_a_long_answer_of_the_client_is_read_from_its_beginning() -> None:
    transcript, window = opened()
    transcript.append(Note(text="short"))
    window.draw(HEIGHT)
    assert window.below(HEIGHT) == 0
    transcript.append(Note(text="\n\n".join(f"line {number}" for number in range(30))))
    transcript.append(Notice(text="and a word more"))
    assert window.draw(HEIGHT) == 0
    assert in_sight(window)[0].strip() == "▌ line 0"
    assert (window.following, window.below(HEIGHT) > 0) == (False, True)
    window.follow()
    window.draw(HEIGHT)
    assert (window.following, window.below(HEIGHT)) == (True, 0)
    say(transcript, 50)
    window.draw(HEIGHT)
    assert (window.following, window.below(HEIGHT)) == (True, 0)


def test_older_messages_do_not_bring_an_answer_back_into_sight() -> None:
    transcript, window = opened(3)
    transcript.append(Note(text="\n\n".join(f"line {number}" for number in range(30))))
    window.draw(HEIGHT)
    window.follow()
    window.draw(HEIGHT)
    older = Transcript()
    say(older, *range(100, 104))
    transcript.absorb_older(older)
    window.draw(HEIGHT)
    assert (window.following, window.below(HEIGHT)) == (True, 0)


def test_an_answer_that_is_the_first_to_be_seen_is_read_from_its_beginning() -> None:
    transcript = Transcript()
    transcript.append(Note(text="\n\n".join(f"line {number}" for number in range(30))))
    window = Window(Layout(transcript, painter()))
    window.draw(HEIGHT)
    assert (window.following, window.top) == (False, 0)
