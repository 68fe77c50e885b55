"""Where growing Markdown is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.render.blocks import ENDLESS_PARAGRAPH, LONG_PARAGRAPH, Block, BlockSplitter

SAMPLE = """# Title
Intro with `code`.

- one
- two

- three

1. a

2. b

```python
def f():

    return 1
```
after the fence

  ```
  nested

  ```

| a | b |
|---|---|
| 1 | 2 |

end"""


def split(text: str, size: int = 0) -> list[Block]:
    splitter = BlockSplitter()
    pieces = [text[i : i + size] for i in range(0, len(text), size)] if size else [text]
    for piece in pieces:
        splitter.feed(piece)
    return splitter.finish()


def test_blocks_of_a_whole_message() -> None:
    texts = [(b.text, b.fence) for b in split(SAMPLE)]
    assert ("def f():\n\n    return 1", "python") in texts
    assert ("- one\n- two\n\n- three\n\n1. a\n\n2. b", None) in texts
    assert texts[-1] == ("end", None)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 50])
def test_the_same_blocks_however_the_text_arrives(size: int) -> None:
    assert split(SAMPLE, size) == split(SAMPLE)


@given(
    st.lists(
        st.sampled_from(
            ["word ", "\n", "\n\n", "```", "```py\n", "- ", "1. ", "# ", "| ", "~~~\n", "  "]
        ),
        max_size=60,
    ),
    st.integers(1, 9),
)
def test_no_word_is_lost(parts: list[str], size: int) -> None:
    text = "".join(parts)
    kept = "".join(b.text for b in split(text, size))
    assert kept.count("word") == text.count("word") or "`" in text or "~" in text
    assert split(text, size)[:-1] == split(text)[:-1]


def test_closed_blocks_never_change() -> None:
    splitter, before = BlockSplitter(), list[Block]()
    for character in SAMPLE:
        splitter.feed(character)
        assert splitter.closed[: len(before)] == before
        before = list(splitter.closed)


def test_an_endless_paragraph_is_cut_at_sentences() -> None:
    text = "Write to someone@example.org and to other@example.org. " * 200
    blocks = split(text, 7)
    assert len(blocks) > 5
    assert all(len(b.text) <= ENDLESS_PARAGRAPH for b in blocks)
    assert not blocks[0].tight
    assert all(b.tight for b in blocks[1:])
    assert blocks[0].text.endswith("org. ") or blocks[0].text.endswith("org.")


def test_a_paragraph_without_any_end_is_cut_too() -> None:
    assert all(len(b.text) <= ENDLESS_PARAGRAPH for b in split("a" * 50_000, 11))
    assert len(split("word " * 5000, 13)[0].text) >= LONG_PARAGRAPH - 10


def test_an_open_fence_is_known_while_it_grows() -> None:
    splitter = BlockSplitter()
    splitter.feed("text\n\n```python\nx = 1\ny")
    assert splitter.open_fence == "python"
    assert splitter.tail() == [Block("x = 1\ny", "python")]
    splitter.feed(" = 2\n```\n")
    assert splitter.tail() == []
    assert splitter.closed[-1] == Block("x = 1\ny = 2", "python")
