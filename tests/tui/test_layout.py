"""Rows of a transcript: widths, growth, scrolling, thousands of messages."""

from __future__ import annotations

import time

import pytest

from tests.tui.streams import Recording, message, turn, words
from tui.render.layout import Layout
from tui.render.paint import Painter
from tui.render.palette import DARK, LIGHT
from tui.state.items import Note, Notice, Patch, Prose, ShellRun, ToolCall, TurnEnd, UserText
from tui.state.transcript import Transcript

WIDE = "日本語の文章はとても幅が広い。" * 12 + " 👩‍👩‍👧 émoji ｆｕｌｌ"
MARKDOWN = (
    "# Head\n\nSome **bold** text "
    + "and more " * 30
    + "\n\n```py\nprint('"
    + "x" * 200
    + "')\n```\n"
)


def painter(width: int = 80) -> Painter:
    return Painter(DARK, width, lambda: 100.0)


def laid_out(*texts: str, width: int = 80) -> tuple[Transcript, Layout]:
    transcript = Transcript()
    for number, text in enumerate(texts):
        transcript.complete(f"m{number}", "t", [(False, text)], interrupted=False)
    return transcript, Layout(transcript, painter(width))


def shown(layout: Layout, top: int, height: int) -> list[str]:
    return [layout.row(y).text.rstrip() for y in range(top, top + height)]


@pytest.mark.parametrize("width", [4, 10, 20, 40, 79, 200])
def test_every_row_has_exactly_the_width(width: int) -> None:
    run = ShellRun(command="ls\nx", output="a\tb\n" + WIDE, exit_code=1, error="no")
    call = ToolCall(
        name="run_command", arguments={"command": WIDE}, text="[exit code: 2]", status="ok"
    )
    items = [
        UserText(text=WIDE),
        Prose(pieces=[MARKDOWN, WIDE], closed=True, interrupted=True),
        Prose(pieces=[WIDE], closed=True, reasoning=True),
        call,
        ToolCall(name="edit_file", arguments={"path": "a", "old_text": "x", "new_text": "y"}),
        ToolCall(name="strange_tool", arguments={"deep": [1]}, status="denied", text="no"),
        run,
        Notice(level="error", text=WIDE),
        Note(text="| a | b |\n|-|-|\n| " + WIDE + " | 2 |"),
        Patch(text="--- a\n+++ b\n@@ -1 +1 @@\n-" + WIDE + "\n+y\n same", truncated=True),
        TurnEnd(status="failed", seconds=61.5, model="m", error=WIDE, cost_usd=0.001),
        TurnEnd(status="completed", model="m" * 300, input_tokens=1_200_000),
    ]
    paint = painter(width)
    for item in items:
        for strip in paint.paint(item):
            assert strip.cell_length == width
            assert sum(segment.cell_length for segment in strip) == width


def test_streamed_and_reloaded_look_alike() -> None:
    transcript = Transcript()
    layout = Layout(transcript, painter())
    for character in MARKDOWN + "\n\n" + WIDE:
        transcript.grow("m", "t", character, reasoning=False)
        layout.sync()
        layout.draw_tail(30)
    transcript.complete("m", "t", [(False, MARKDOWN + "\n\n" + WIDE)], interrupted=False)
    layout.draw_tail(1000)
    _, reloaded = laid_out(MARKDOWN + "\n\n" + WIDE)
    reloaded.draw_tail(1000)
    assert shown(layout, 0, layout.total) == shown(reloaded, 0, reloaded.total)


def test_growth_redraws_only_the_end() -> None:
    transcript = Transcript()
    layout = Layout(transcript, painter())
    transcript.grow("m", "t", "first block\n\nsecond block\n\nthird ", reasoning=False)
    layout.sync()
    layout.draw_tail(20)
    before = list(layout.entries[0].rows or [])
    transcript.grow("m", "t", "grows", reasoning=False)
    assert layout.draw_tail(20) == 4
    after = layout.entries[0].rows or []
    assert [a is b for a, b in zip(before[:4], after, strict=False)] == [True] * 4


def test_an_open_code_block_is_coloured_line_by_line() -> None:
    transcript = Transcript()
    layout = Layout(transcript, painter())
    transcript.grow("m", "t", "```python\ndef f():\n    ret", reasoning=False)
    layout.sync()
    layout.draw_tail(20)
    rows = layout.entries[0].rows or []
    assert [row.text.strip() for row in rows] == ["def f():", "ret"]
    assert len({str(segment.style) for segment in rows[0]}) > 2


def test_scrolling_up_shows_every_row_once() -> None:
    texts = [f"message {n}\n\n" + "words " * (n * 7 % 90) for n in range(300)]
    _, layout = laid_out(*texts, width=50)
    height = 20
    layout.draw_tail(height)
    top, seen = layout.total - height, shown(layout, layout.total - height, height)
    while top > 0:
        wanted = max(0, top - 7)
        below = shown(layout, top, 5)
        new_top, _ = layout.draw_between(wanted, height)
        assert below == shown(layout, new_top + (top - wanted), 5) or new_top == 0
        top = new_top
        seen = shown(layout, top, height)
    _, exact = laid_out(*texts, width=50)
    exact.draw_tail(1_000_000)
    assert seen == shown(exact, 0, height)
    assert layout.total == exact.total


def test_another_width_and_other_colours() -> None:
    _, layout = laid_out(MARKDOWN, WIDE)
    layout.draw_tail(10)
    before = layout.total
    layout.redraw(painter(30))
    layout.draw_tail(10)
    assert layout.total > before
    assert layout.row(0).cell_length == 30
    layout.redraw(Painter(LIGHT, 30, lambda: 0.0))
    assert layout.row(layout.total + 5).cell_length == 30


def test_failed_calls_stay_open_and_good_ones_fold() -> None:
    paint = painter()
    good = ToolCall(name="run_command", arguments={"command": "ls"}, status="ok", text="a\nb\nc")
    assert [s.text.strip() for s in paint.paint(good)] == ["▏ ✓ Ran ls  exit 0  3 lines"]
    bad = ToolCall(
        name="run_command",
        arguments={"command": "make"},
        status="ok",
        text="\n".join(f"line {n}" for n in range(30)) + "\n[exit code: 2]",
        elapsed_ms=1234.0,
    )
    rows = [s.text.strip() for s in paint.paint(bad)]
    assert rows[0].startswith("▏ ✗ Ran make  exit 2  1.2 s")
    assert "19 lines above" in rows[1]
    assert rows[-1].endswith("[exit code: 2]")
    bad.open = False
    assert len(paint.paint(bad)) == 1
    good.open = True
    assert len(paint.paint(good)) == 4


def test_a_running_call_shows_its_last_lines_and_seconds() -> None:
    call = ToolCall(name="shell", arguments={"command": ["make", "all"]}, started=90.0)
    call.output = "\n".join(f"step {n}" for n in range(9))
    rows = [s.text.strip() for s in painter().paint(call)]
    assert rows[0] == "▏ ● Running make all  10 s"
    assert rows[-1].endswith("step 8")
    assert len(rows) == 5


def test_five_thousand_messages_open_at_once() -> None:
    recording = Recording()
    recording.tell("turn.started", turn=turn())
    for number in range(5000):
        data = message("assistant", words(MARKDOWN), message_id=f"m{number}")
        recording.tell("message.assistant", **data)
    started = time.perf_counter()
    layout = Layout(recording.session.transcript, painter(100))
    layout.draw_tail(40)
    elapsed = time.perf_counter() - started
    assert len(shown(layout, layout.total - 40, 40)) == 40
    drawn = sum(entry.rows is not None for entry in layout.entries)
    assert drawn < 20
    assert elapsed < 1.0


def test_what_is_far_away_is_forgotten_but_keeps_its_height() -> None:
    _, layout = laid_out(*["```\n" + "line\n" * 60 + "```"] * 600)
    layout.draw_tail(1_000_000)
    total = layout.total
    layout.draw_tail(10)
    assert sum(entry.rows is not None for entry in layout.entries) < 600
    assert layout.total == total
    assert layout.row(0).text.strip() == "line"


def test_an_item_put_between_keeps_the_others() -> None:
    transcript, layout = laid_out("one", "two")
    layout.draw_tail(10)
    transcript.items.insert(1, Notice(level="info", text="between"))
    transcript.structure += 1
    layout.sync()
    layout.draw_tail(10)
    assert [t for t in shown(layout, 0, layout.total) if t] == ["  one", "▌ between", "  two"]
