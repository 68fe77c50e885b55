"""The commands that exist.

Owns the one list that dispatch, help and completion read.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from orchestrator.domain.config_words import KEYS as CONFIG_KEYS
from tui.commands import client, models, sandbox, saved, sessions
from tui.commands.desk import Desk
from tui.commands.parse import Line


@dataclass(frozen=True, slots=True)
class Command:
    """One command."""

    name: str
    arguments: str
    """How its arguments are written; empty for none."""
    summary: str
    run: Callable[[Desk, Line], Awaitable[None]]
    words: tuple[str, ...] = ()
    """Subcommands that completion offers."""


async def show_help(desk: Desk, line: Line) -> None:
    """Show every command and key."""
    rows = ["| command | |", "|-|-|"]
    for command in COMMANDS:
        usage = f"/{command.name} {command.arguments}".strip()
        rows.append(f"| {sessions.escape(usage)} | {sessions.escape(command.summary)} |")
    keys = ["", "| key | |", "|-|-|"]
    keys += [f"| {sessions.escape(key)} | {sessions.escape(words)} |" for key, words in KEYS]
    notes = (
        "\nTen sessions at once, unless the server says otherwise. A session is saved as each "
        "turn ends; names have up to 50 characters. Quotes count as in a shell."
    )
    desk.explain("\n".join([*rows, *keys, notes]))


KEYS: Final = (
    ("Alt+1 … 9, 0", "the tab of that number (also Ctrl+1 … 0 where the terminal sends it)"),
    ("Ctrl+Tab, Ctrl+Shift+Tab", "next and previous tab (also Alt+Right, Alt+Left)"),
    ("Ctrl+N, Ctrl+W", "new session here, close this one"),
    ("Enter · Ctrl+J", "send · new line (also Shift+Enter, Alt+Enter)"),
    ("F1, F2", "this help, and saved sessions or the one that is offered"),
    ("Ctrl+C, Ctrl+Q", "copy what is selected or clear the prompt, and leave"),
    ("Up, Down", "prompts of before, from the first and last line"),
    ("Esc", "close what is open, else stop the turn"),
    ("PageUp, PageDown, Ctrl+End", "through the transcript, back to its end"),
    ("Alt+Up, Alt+Down, F4", "from call to call, fold or unfold"),
    ("@", "a file of the project"),
    ("!CMD", "a command in the sandbox"),
)

COMMANDS: Final = (
    Command(
        "session",
        " | ".join(sessions.FORMS),
        "open, list, show, close, name, save; a fresh sandbox",
        sessions.session,
        tuple(sessions.SUBCOMMANDS),
    ),
    Command(
        "resume",
        " | ".join(saved.FORMS),
        "list, open and delete saved sessions",
        saved.resume,
        ("delete", "clear"),
    ),
    Command("model", "[provider:model]", "show or choose the model", models.model),
    Command("provider", "[name]", "choose the provider", models.provider),
    Command(
        "config", "[key value]", "show or change the configuration", models.config, CONFIG_KEYS
    ),
    Command("shell", "CMD", "run a command in the sandbox (also !CMD)", sandbox.shell),
    Command(
        "lua",
        "[--reset] SCRIPT | --tools",
        "run a Lua script in the sandbox; list the project's own tools",
        sandbox.lua,
    ),
    Command("diff", "", "what changed since the session began", sandbox.diff),
    Command("cost", "", "tokens and money", client.cost),
    Command(
        "theme",
        "[name]",
        "dark, light or high_contrast",
        client.theme,
        ("dark", "light", "high_contrast"),
    ),
    Command("export", "[file] [--redact]", "write the session as a document", client.export),
    Command(
        "import",
        "FILE [--project PATH]",
        "take in such a document; /resume opens it",
        client.take_in,
    ),
    Command("help", "", "commands and keys", show_help),
    Command("quit", "", "leave; sessions go on", client.leave),
)

BY_NAME: Final = {command.name: command for command in COMMANDS}
