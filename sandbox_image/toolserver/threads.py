"""Threads that a sandbox may refuse: each counts as a process of its limit."""

from __future__ import annotations

import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class ThreadRefused(Exception):
    """No further thread can be started now."""


def start_thread(work: Callable[..., None], *arguments: object) -> None:
    """Run `work` on a thread of its own; raises `ThreadRefused` at the limit of processes."""
    try:
        threading.Thread(target=work, args=arguments, daemon=True).start()
    except RuntimeError:
        raise ThreadRefused from None
