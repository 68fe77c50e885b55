"""The command language of the offline model: parsed, never executed here.

    read PATH                    write PATH TEXT…           edit PATH "old" "new"
    list [PATH]                  write PATH <<END … END     grep PATTERN
    run CMD…                     lua SCRIPT                 lua <<END … END
    shell CMD…                   todo a; b; c               say TEXT
    start CMD…                   send JOB TEXT…             stop JOB
    check [JOB [SECONDS [TEXT…]]]
    think TEXT                   sleep SECONDS              fail
    tool NAME {"json": …}

One command a line, several a prompt. Owns the grammar and its printed help.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from orchestrator.domain.jobs import is_job_name

HELP: Final = """\
- `read PATH` · `list [PATH]` · `grep PATTERN`
- `write PATH TEXT…`, or `write PATH <<END`, lines, `END`
- `edit PATH "old" "new"`
- `run COMMAND…` · `shell COMMAND…`, which keeps its directory
- `start COMMAND…` in the background · `check`, or `check JOB SECONDS TEXT…` to wait for it
- `send JOB TEXT…` · `stop JOB`
- `lua SCRIPT`, or `lua <<END`, lines, `END`
- `tool NAME {"argument": …}`: one of the project's own tools
- `todo first; second; third`
- `say TEXT` · `think TEXT` · `sleep SECONDS` · `fail`
"""

MAX_SLEEP_S: Final = 600.0
"""Seconds of one `sleep` at most."""

MAX_COMMANDS: Final = 200
"""Commands of one prompt at most; more are not read."""

StepKind = Literal["tool", "say", "think", "sleep", "fail"]

_RUNS: Final = {"run": "run_command", "shell": "shell", "start": "start_command"}
_HEREDOC: Final = re.compile(r"(?s)(.*?)\s*<<\s*(['\"]?)(\w+)\2\s*$")


@dataclass(frozen=True)
class Step:
    """One command, understood."""

    kind: StepKind
    text: str = ""
    """What is said, thought, or the line as it was written."""
    tool: str = ""
    """Name of the tool; empty unless kind is tool."""
    arguments: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    """Of a sleep."""


def parse(prompt: str) -> list[Step]:
    """Return the steps of `prompt`; empty when any line is no command of the language."""
    lines = prompt.splitlines()
    steps: list[Step] = []
    index = 0
    while index < len(lines):
        line = lines[index].strip()
        index += 1
        if not line or line.startswith("#"):
            continue
        body: str | None = None
        heredoc = _HEREDOC.fullmatch(line) if line.split()[0] in ("write", "lua") else None
        if heredoc is not None:
            line, end = heredoc.group(1), heredoc.group(3)
            collected, index = _until(lines, index, end)
            body = "".join(f"{each}\n" for each in collected)
        step = _step(line, body)
        if step is None or len(steps) >= MAX_COMMANDS:
            return []
        steps.append(step)
    return steps


def _until(lines: list[str], index: int, end: str) -> tuple[list[str], int]:
    collected: list[str] = []
    while index < len(lines) and lines[index].strip() != end:
        collected.append(lines[index])
        index += 1
    return collected, index + 1


def _step(line: str, body: str | None) -> Step | None:
    verb, _, rest = line.partition(" ")
    rest = rest.strip()
    if verb in ("say", "think"):
        return Step(kind="say" if verb == "say" else "think", text=rest) if rest else None
    if verb == "fail":
        return Step(kind="fail", text=rest or "as asked")
    if verb == "sleep":
        return _sleep(rest)
    call = _call(verb, rest, body)
    if call is None:
        return None
    tool, arguments = call
    return Step(kind="tool", text=line, tool=tool, arguments=arguments)


def _sleep(rest: str) -> Step | None:
    try:
        seconds = float(rest)
    except ValueError:
        return None
    return Step(kind="sleep", seconds=min(max(seconds, 0.0), MAX_SLEEP_S))


def _call(verb: str, rest: str, body: str | None) -> tuple[str, dict[str, Any]] | None:
    match verb:
        case "read" if rest:
            return "read_file", {"path": _unquoted(rest)}
        case "list":
            return "list_files", {"path": _unquoted(rest)} if rest else {}
        case "grep" if rest:
            return "grep", {"pattern": _unquoted(rest)}
        case "run" | "shell" | "start" if rest:
            return _RUNS[verb], {"command": rest}
        case "check" | "send" | "stop":
            return _job(verb, rest)
        case "lua" if body is not None or rest:
            return "lua", {"script": rest if body is None else body}
        case "todo" if rest:
            items = [item.strip() for item in rest.split(";") if item.strip()]
            return "write_plan", {"items": [{"content": item} for item in items]}
        case "tool" if rest:
            return _tool(rest)
        case "write":
            return _write(rest, body)
        case "edit":
            return _edit(rest)
        case _:
            return None


def _job(verb: str, rest: str) -> tuple[str, dict[str, Any]] | None:
    name, _, more = rest.partition(" ")
    named = {"command_id": name}
    if verb == "check" and not rest:
        return "check_command", {}
    # Sentences may begin with these words too.
    if not is_job_name(name) or (more and verb == "stop"):
        return None
    match verb:
        case "stop":
            return "stop_command", named
        case "send":
            return "send_input", {**named, "text": f"{more}\n"}
        case _:
            return _check(named, more.strip())


def _check(named: dict[str, Any], more: str) -> tuple[str, dict[str, Any]] | None:
    seconds, _, text = more.partition(" ")
    try:
        waits = {"wait_s": float(seconds)} if seconds else {}
    except ValueError:
        return None
    return "check_command", {**named, **waits, **({"until": text.strip()} if text else {})}


def _write(rest: str, body: str | None) -> tuple[str, dict[str, Any]] | None:
    path, _, text = rest.partition(" ")
    if not path or (body is None and not text.strip()):
        return None
    content = f"{text.strip()}\n" if body is None else body
    return "write_file", {"path": _unquoted(path), "content": content}


def _edit(rest: str) -> tuple[str, dict[str, Any]] | None:
    try:
        words = shlex.split(rest)
    except ValueError:
        return None
    if len(words) != 3:
        return None
    path, old, new = (word.replace("\\n", "\n") for word in words)
    return "edit_file", {"path": path, "old_text": old, "new_text": new}


def _tool(rest: str) -> tuple[str, dict[str, Any]] | None:
    name, _, text = rest.partition(" ")
    try:
        arguments = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError):
        return None
    return (name, arguments) if isinstance(arguments, dict) else None


def _unquoted(text: str) -> str:
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    return text
