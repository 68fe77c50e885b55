"""The prompt.

Owns typing: sending, line breaks, the history, and the guard that keeps an answer to an ask
from being given by someone who is merely typing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Final

from textual import events
from textual.actions import parse
from textual.message import Message
from textual.widgets import TextArea

from tui.state.sanitise import sanitise

QUIET_S: Final = 0.7
"""Seconds without typing, and since the ask appeared, until a letter may answer it."""
NEWLINE_KEYS: Final = frozenset({"shift+enter", "ctrl+j", "alt+enter", "ctrl+enter"})
POPUP_KEYS: Final = frozenset({"up", "down", "tab", "enter", "escape"})


class Prompt(TextArea):
    """Several lines of text; Enter sends them."""

    class Sent(Message):
        """The person sent the text."""

        def __init__(self, text: str) -> None:
            """Carry the text as it stood."""
            super().__init__()
            self.text = text

    class Answered(Message):
        """A letter that answers what is asked above the prompt."""

        def __init__(self, letter: str) -> None:
            """Carry the letter."""
            super().__init__()
            self.letter = letter

    def __init__(self) -> None:
        """Start empty."""
        super().__init__(
            id="prompt",
            soft_wrap=True,
            tab_behavior="focus",
            show_line_numbers=False,
            highlight_cursor_line=False,
            placeholder="Ask for a change, / for commands",
            compact=True,
        )
        self.cursor_blink = False
        self.popup_open = False
        """Whether a list of completions is shown; some keys are its own then."""
        self.popup_key: Callable[[str], bool] = lambda key: False
        """Takes a key of the open list; False leaves it to the prompt. Called at once, since keys
        come in bursts and the next one must find the text as this one left it."""
        self._history: Sequence[str] = ()
        self._place = 0
        self._draft = ""
        self._letters: frozenset[str] = frozenset()
        self._asked_at = 0.0
        self._typed_at = 0.0

    @property
    def before_cursor(self) -> str:
        """The text up to the cursor."""
        return self.get_text_range((0, 0), self.cursor_location)

    def open_draft(self, draft: str, history: Sequence[str]) -> None:
        """Show another tab's draft and history."""
        self._history, self._place, self._draft = history, len(history), ""
        if draft != self.text:
            self.put(draft)

    def put(self, text: str) -> None:
        """Replace the text, the cursor behind it."""
        self.text = text
        self.move_cursor(self.document.end)

    def expect(self, letters: frozenset[str]) -> None:
        """Take `letters` as answers from QUIET_S on; none when nothing is asked."""
        if letters and not self._letters:
            self._asked_at = monotonic()
        self._letters = letters

    async def _on_key(self, event: events.Key) -> None:
        if self._takes(event):
            event.stop()
            event.prevent_default()
            return
        if event.is_printable or event.key in ("backspace", "delete"):
            self._typed_at = monotonic()
            self._place = len(self._history)
        if self._edits(event.key):
            event.stop()
            event.prevent_default()
            return
        await super()._on_key(event)

    async def _on_paste(self, event: events.Paste) -> None:
        event.stop()
        event.prevent_default()
        self._typed_at = monotonic()
        self.insert(sanitise(event.text.replace("\r\n", "\n").replace("\r", "\n")))

    def _takes(self, event: events.Key) -> bool:
        """Handle a key that is not text; say whether it was one."""
        key = event.key
        if self.popup_open and key in POPUP_KEYS and self.popup_key(key):
            return True
        if key in self._letters and self._quiet():
            self.post_message(self.Answered(key))
        elif key == "enter":
            self._send()
        elif key in NEWLINE_KEYS:
            self._typed_at = monotonic()
            self.insert("\n")
        elif key in ("alt+backspace", "ctrl+backspace"):
            self._typed_at = monotonic()
            self.action_delete_word_left()
        elif key == "up" and self.cursor_at_first_line:
            return self._recall(-1)
        elif key == "down" and self.cursor_at_last_line:
            return self._recall(1)
        else:
            return False
        return True

    def _edits(self, key: str) -> bool:
        """Do what the library binds a key to, such as deleting a word; say whether it is bound.

        Left to the library it would be done after the keys behind it in the same burst.
        """
        for binding in self._bindings.key_to_bindings.get(key, ()):
            _, name, arguments = parse(binding.action)
            getattr(self, f"action_{name}")(*arguments)
            return True
        return False

    def _send(self) -> None:
        text = self.text
        if text.strip():
            self.put("")
            self.post_message(self.Sent(text))

    def _quiet(self) -> bool:
        return monotonic() - max(self._asked_at, self._typed_at) >= QUIET_S

    def _recall(self, step: int) -> bool:
        place = self._place + step
        if not 0 <= place <= len(self._history):
            return False
        if self._place == len(self._history):
            self._draft = self.text
        self._place = place
        self.put(self._draft if place == len(self._history) else self._history[place])
        return True
