"""The hints of the footer.

Owns which five matter in a situation, the most useful first: what does not fit is left out
from the end.
"""

from __future__ import annotations

from tui.keyboard import Keyboard
from tui.state.tool_words import count, money
from tui.state.workspace import Workspace

Hint = tuple[str, str]
"""A key and what it does."""


def hints(
    workspace: Workspace, keyboard: Keyboard, *, completing: bool, scrolled: bool, typing: bool
) -> list[Hint]:
    """Return at most five hints."""
    session = workspace.active
    if workspace.question is not None:
        return [("y", "yes"), ("n", "no")]
    if completing:
        return [("tab", "take"), ("↑↓", "choose"), ("esc", "close")]
    if session is not None and session.asks:
        return [("y a n", "answer"), ("esc", "stop the turn"), (keyboard.tab_keys, "tabs")]
    if scrolled:
        return [("ctrl+end", "back to the end"), ("alt+↑↓", "calls"), ("f4", "fold")]
    if session is None:
        return [("ctrl+n", "open this directory"), ("/resume", "saved"), ("ctrl+q", "leave")]
    if session.busy:
        stop = ("esc", "stopping…" if session.cancelling else "stop")
        return [stop, ("enter", "queue")] if typing else [stop, (keyboard.tab_keys, "tabs")]
    if typing:
        return [("enter", "send"), (keyboard.newline_key, "new line"), ("@", "file")]
    return [
        ("/", "commands"),
        ("@", "file"),
        (keyboard.tab_keys, "tabs"),
        ("ctrl+n", "new"),
        ("f1", "help"),
    ]


def standing(workspace: Workspace) -> tuple[str, str]:
    """Return what the right of the footer says, and how grave it is (dim, warn or bad)."""
    session = workspace.active
    if session is None:
        if workspace.server == "ready":
            return "", "dim"
        words = "connecting…" if workspace.server == "connecting" else "no server, trying again"
        return words, "warn"
    if session.link == "waiting":
        return "reconnecting…", "warn"
    if session.link == "refused":
        return "refused by the server", "bad"
    if session.status in ("starting", "restarting"):
        return "sandbox starting…", "warn"
    if session.status == "failed":
        return "sandbox failed", "bad"
    usage = session.usage
    tokens = usage.input_tokens + usage.output_tokens
    facts = [
        "offline model" if session.offline else session.qualified_model,
        f"{count(tokens)} tokens" if tokens else "",
        money(usage.cost_usd) if usage.cost_usd else "",
        session.runtime,
    ]
    return " · ".join(fact for fact in facts if fact), "dim"
