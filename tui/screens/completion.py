"""Completing the word under the cursor.

Owns when the popup opens and closes and what taking an entry does to the prompt.
"""

from __future__ import annotations

from tui.commands.complete import Choice, Wanted, commands_for, files_for, wanted
from tui.widgets.popup import Popup
from tui.widgets.prompt import Prompt
from tui.work import Work


class Completion:
    """The completion of one prompt."""

    def __init__(self, work: Work, popup: Popup, prompt: Prompt) -> None:
        """Start closed."""
        self._work = work
        self._popup = popup
        self._prompt = prompt
        self._wanted: Wanted | None = None
        self._dismissed = ""
        self._session_id = ""

    @property
    def open(self) -> bool:
        """Whether entries are shown."""
        return self._prompt.popup_open

    def look(self, session_id: str) -> None:
        """Offer what completes the text before the cursor."""
        self._session_id = session_id
        before = self._prompt.before_cursor
        self._wanted = wanted(before)
        if self._wanted is None or before == self._dismissed:
            self.close()
        elif self._wanted.kind == "command":
            self._offer(commands_for(self._wanted.word))
        elif session_id:
            self._work.begin(self._look_for_files(session_id, self._wanted))

    def close(self) -> None:
        """Show nothing."""
        self._offer([])

    def key(self, key: str) -> bool:
        """Handle a key of the open popup; False when the prompt is to be sent instead.

        The entries may be those of a text that was typed on since: keys come in bursts.
        """
        if wanted(self._prompt.before_cursor) != self._wanted:
            self.look(self._session_id)
            if self._wanted is not None and self._wanted.kind == "file":
                self.close()
        if not self._prompt.popup_open:
            return False
        chosen = self._popup.chosen
        if key in ("up", "down"):
            self._popup.move(-1 if key == "up" else 1)
        elif key == "escape" or chosen is None or self._wanted is None:
            self._dismissed = self._prompt.before_cursor
            self.close()
        elif key == "enter" and chosen.insert.strip() == self._prompt.before_cursor.strip():
            self.close()
            return False
        else:
            self._take(chosen, self._wanted)
        return True

    def _take(self, choice: Choice, asked: Wanted) -> None:
        row, column = self._prompt.cursor_location
        line_start = len(self._prompt.before_cursor) - column
        start = (row, max(0, asked.start - line_start))
        self.close()
        self._prompt.replace(choice.insert, start, (row, column))

    async def _look_for_files(self, session_id: str, asked: Wanted) -> None:
        names = await self._work.files(session_id, asked.word)
        if self._wanted == asked:
            self._offer(files_for(names))

    def _offer(self, choices: list[Choice]) -> None:
        self._popup.offer(choices)
        self._prompt.popup_open = bool(choices)
