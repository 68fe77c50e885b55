"""How a call reads: a verb, its target, and what its outcome says.

Owns the words for the tools that are known, and a fair reading of those that are not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from tui.state.sanitise import one_line

_VERBS: Final[dict[str, tuple[str, str]]] = {
    "read_file": ("Reading", "Read"),
    "write_file": ("Writing", "Wrote"),
    "edit_file": ("Editing", "Edited"),
    "list_directory": ("Listing", "Listed"),
    "list_files": ("Listing", "Listed"),
    "find_files": ("Finding", "Found"),
    "search_files": ("Searching", "Searched"),
    "grep": ("Searching", "Searched"),
    "glob": ("Finding", "Found"),
    "create_directory": ("Making", "Made"),
    "file_info": ("Looking at", "Looked at"),
    "run_command": ("Running", "Ran"),
    "shell": ("Running", "Ran"),
    "bash": ("Running", "Ran"),
    "start_command": ("Starting", "Started"),
    "check_command": ("Checking", "Checked"),
    "send_input": ("Sending to", "Sent to"),
    "stop_command": ("Stopping", "Stopped"),
    "lua": ("Running Lua", "Ran Lua"),
    "write_plan": ("Planning", "Planned"),
    "update_plan": ("Planning", "Planned"),
    "todo": ("Planning", "Planned"),
}
_TARGETS: Final = (
    "command",
    "path",
    "file_path",
    "pattern",
    "query",
    "script",
    "url",
    "command_id",
    "name",
)
_EXIT: Final = re.compile(r"exit[ _]code[\"']?\s*[:=]?\s*(-?\d{1,5})\b", re.IGNORECASE)
_COMMANDS: Final = frozenset({"run_command", "shell", "bash"})
_BACKGROUND: Final = frozenset({"start_command", "check_command", "send_input"})
"""Tools that name an exit code in their last line once there is one. What one stopped is not
among them: a code that the stopping made is no failure."""


def verb(name: str, *, done: bool) -> str:
    """Return what the call does, or did, as a word."""
    words = _VERBS.get(name)
    if words is None:
        readable = one_line(name.replace("_", " "), 40) or "a tool"
        return f"Used {readable}" if done else f"Using {readable}"
    return words[1] if done else words[0]


def target(name: str, arguments: Mapping[str, Any]) -> str:
    """Return what the call works on, on one line."""
    if name == "check_command" and not arguments.get("command_id"):
        return "background commands"
    if name == "send_input" and isinstance(text := arguments.get("text"), str) and text.strip():
        return one_line(f"{arguments.get('command_id')}: {text}")
    for key in _TARGETS:
        value = arguments.get(key)
        if isinstance(value, str) and value.strip():
            return one_line(value)
        if isinstance(value, list) and value:
            return one_line(" ".join(str(word) for word in value[:50]))
    if not arguments:
        return ""
    return one_line(json.dumps(arguments, ensure_ascii=False)[:400], 120)


def full_target(name: str, arguments: Mapping[str, Any]) -> str:
    """Return what the call works on with its line breaks, for the person who must judge it.

    Of a tool that is not known here, the project's own for example, that is every argument.
    """
    if name not in _VERBS and arguments:
        return json.dumps(arguments, ensure_ascii=False, indent=2)
    for key in ("command", "script", "text"):
        value = arguments.get(key)
        if isinstance(value, str):
            return value
    return ""


def exit_code(name: str, text: str) -> int | None:
    """Return the exit code that the outcome of a command names; 0 when it names none.

    Of a command in the background it is None while it runs.
    """
    if name in _BACKGROUND:
        last = _EXIT.search(text.rstrip().rpartition("\n")[2])
        return int(last[1]) if last else None
    if name not in _COMMANDS:
        return None
    codes = _EXIT.findall(text[-600:])
    return int(codes[-1]) if codes else 0


def change_counts(name: str, arguments: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return lines (added, removed) of an edit as its arguments tell; None for anything else."""
    old = arguments.get("old_string", arguments.get("old_text", arguments.get("old_str")))
    new = arguments.get("new_string", arguments.get("new_text", arguments.get("new_str")))
    if isinstance(old, str) and isinstance(new, str):
        before, after = old.splitlines(), new.splitlines()
        same = _common_edge(before, after)
        return len(after) - same, len(before) - same
    content = arguments.get("content")
    if name == "write_file" and isinstance(content, str):
        return len(content.splitlines()), 0
    return None


def _common_edge(before: list[str], after: list[str]) -> int:
    shorter = min(len(before), len(after))
    head = 0
    while head < shorter and before[head] == after[head]:
        head += 1
    tail = 0
    while tail < shorter - head and before[-1 - tail] == after[-1 - tail]:
        tail += 1
    return head + tail


def duration(milliseconds: float) -> str:
    """Return a duration as a person says it."""
    seconds = milliseconds / 1000
    if seconds < 0.1:
        return f"{milliseconds:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest:02d} s"


def count(number: int) -> str:
    """Return a count of tokens in few characters."""
    if number < 1000:
        return str(number)
    return f"{number / 1000:.1f}k" if number < 1_000_000 else f"{number / 1_000_000:.1f}M"


def money(cost: float | None) -> str:
    """Return dollars; empty when the price is not known."""
    if cost is None:
        return ""
    return f"${cost:.4f}" if 0 < cost < 0.01 else f"${cost:.2f}"
