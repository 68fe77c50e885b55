"""What a waiting person sees on standard error: one changing line on a terminal, else plain lines.

Owns standard error while a turn runs; every word from a sandbox or a model is cleaned.
"""

from __future__ import annotations

import shutil
import sys
import time
from typing import Any


def clean(text: str, limit: int) -> str:
    """Return `text` as at most `limit` printable characters of one line."""
    line = " ".join(text[: limit * 4].split())
    line = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)
    return line if len(line) <= limit else line[: limit - 1] + "…"


class Progress:
    """Says what is going on."""

    def __init__(self, *, quiet: bool = False) -> None:
        """Write to standard error; `quiet` writes nothing."""
        self._terminal = sys.stderr.isatty()
        self._quiet = quiet
        self._shown = False
        self._started = time.monotonic()

    def show(self, text: str) -> None:
        """Replace the line on a terminal; write one elsewhere."""
        if self._quiet:
            return
        if not self._terminal:
            self._write(clean(text, 300) + "\n")
            return
        width = max(10, shutil.get_terminal_size().columns - 1)
        elapsed = f"{time.monotonic() - self._started:.0f} s  "
        self._write("\r\x1b[2K" + clean(elapsed + text, width))
        self._shown = True

    def clear(self) -> None:
        """Take the line off a terminal."""
        if self._shown:
            self._write("\r\x1b[2K")
            self._shown = False

    def event(self, event: dict[str, Any]) -> None:
        """Show what an event of a session means for somebody who waits."""
        text = describe(event)
        if text:
            self.show(text)

    def _write(self, text: str) -> None:
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except OSError:
            self._quiet = True


def describe(event: dict[str, Any]) -> str | None:
    """Return one line about an event; None when it says nothing to somebody who waits."""
    kind, data = str(event["type"]), event["data"]
    if kind == "session.ready":
        return f"sandbox ready ({data.get('session', {}).get('runtime')})"
    if kind == "tool.call":
        values = data.get("arguments") or {}
        return f"{data.get('name')} {clean(' '.join(map(str, values.values())), 120)}"
    if kind == "tool.result" and data.get("status") != "ok":
        return f"tool {data.get('status')}: {clean(str(data.get('text', '')), 160)}"
    if kind == "sandbox.oom" and data.get("sandbox") == "alive":
        return clean(str(data.get("detail", "")), 300)
    if kind in {"sandbox.crashed", "sandbox.oom", "session.restarting"}:
        return kind.replace(".", " ")
    if kind == "notice":
        return str(data.get("text", ""))
    if kind == "turn.started":
        return "working"
    return None
