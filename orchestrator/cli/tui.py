"""`jido-tui`: the client on a terminal, a headless tour without one.

Owns finding a server without keeping the client waiting: that happens behind the first frame,
and a server of our own has its address before it has started, because the port is bound here.
Refuses to draw, and to load before the first frame what drawing does not need.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import sys
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Final, NoReturn

from orchestrator import __version__
from orchestrator.cli.failures import (
    CANCELLED,
    USAGE,
    UsageError,
    code_of,
    complain,
    explain,
    unexpected,
)
from orchestrator.domain.errors import JidoError

if TYPE_CHECKING:
    from orchestrator.local.launch import Lease
    from orchestrator.settings import Settings
    from tui.found import Found

_MAX_SETTINGS_BYTES: Final = 1 << 20
"""Bytes of the settings file that are looked at for the first frame."""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        complain(f"{message}. See `jido-tui --help`.")
        sys.exit(USAGE)


def main() -> None:
    """Run the client and exit."""
    sys.exit(invoke(sys.argv[1:]))


def invoke(arguments: list[str]) -> int:
    """Run with `arguments` and return the exit code; every failure ends as one line."""
    given = _parser().parse_args(arguments)
    try:
        return _client(given)
    except JidoError as error:
        complain(explain(error))
        return code_of(error)
    except KeyboardInterrupt:
        return CANCELLED
    except BrokenPipeError:
        return 141
    except Exception as error:  # noqa: BLE001 - the last line of defence shows no traceback
        complain(unexpected(error))
        return 1


def _parser() -> _Parser:
    parser = _Parser(
        prog="jido-tui",
        description="Agentic coding sessions, one tab each, every one in a sandbox of its own. "
        "Without a terminal: a tour of one turn, printed.",
    )
    parser.add_argument("path", nargs="?", help="project directory (default: the current one)")
    parser.add_argument("--server", metavar="URL", help="server to use (default: JIDO_URL)")
    parser.add_argument("--token", help="its bearer token (default: JIDO_TOKEN, $JIDO_HOME/token)")
    parser.add_argument("--version", action="version", version=f"jido-code {__version__}")
    return parser


def _client(given: argparse.Namespace) -> int:
    from pathlib import Path

    from orchestrator.cli.directory import project_path

    overrides = {"url": given.server, "token": given.token}
    wanted = {name: value for name, value in overrides.items() if value}
    path = project_path(Path(given.path) if given.path else None)
    if not os.path.isdir(path):
        _refuse(path, wanted)
    if sys.stdin.isatty() and sys.stdout.isatty():
        with _drawing_on_terminal():
            return _on_terminal(wanted, path)
    if given.path or given.server:
        raise UsageError("The client needs a terminal. Without one use `jido run --project PATH`.")
    from orchestrator.cli.tour import tour
    from orchestrator.settings import load_settings

    return tour(load_settings(**wanted))


def _refuse(path: str, wanted: dict[str, str]) -> None:
    """Raise for what cannot be a project, unless a server elsewhere may have it."""
    from orchestrator.cli.directory import check_project
    from orchestrator.settings import load_settings

    settings = load_settings(**wanted)
    check_project(settings, path, elsewhere="url" in settings.model_fields_set)


@contextlib.contextmanager
def _drawing_on_terminal() -> Iterator[None]:
    """Lead standard error to the terminal meanwhile: the client draws there."""
    if sys.stderr.isatty():
        yield
        return
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        os.dup2(1, 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)


def _on_terminal(wanted: dict[str, str], path: str) -> int:
    # What is loaded now stays: looking through it for garbage only delays the first frame.
    gc.set_threshold(20_000, 20, 50)
    from tui.app import run

    server = _Server(wanted)
    try:
        code = run(server.reach, path, _likely_theme())
    finally:
        reason = server.release()
    if reason is not None:
        complain(reason)
        return code or 6
    return code


def _likely_theme() -> str | None:
    """Return the theme that the settings will most likely name, for a first frame in its colours.

    Whatever is wrong with them is said when they are read.
    """
    if named := os.environ.get("JIDO_THEME"):
        return named
    home = os.environ.get("JIDO_HOME") or os.path.expanduser("~/.jido_code")
    try:
        with open(os.path.join(home, "settings.json"), "rb") as file:
            theme = json.loads(file.read(_MAX_SETTINGS_BYTES))["theme"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    return theme if isinstance(theme, str) else None


class _Server:
    """The server of one run of the client: looked for, and started, behind the first frame."""

    def __init__(self, wanted: dict[str, str]) -> None:
        """Keep what the command line says; settings are read when it is looked for."""
        self._wanted = wanted
        self._cleanup = contextlib.ExitStack()
        self._lease: Lease | None = None

    def reach(self) -> Found:
        """Return where it is; raises JidoError. Takes long: call it in a thread."""
        from orchestrator.cli.server import existing
        from orchestrator.local.home import ensure_token, read_token
        from orchestrator.settings import load_settings
        from tui.found import Found

        settings = load_settings(**self._wanted)
        # What the environment names wins over what projects ask for.
        found = partial(Found, theme=settings.theme, keeps_theme=bool(os.environ.get("JIDO_THEME")))
        api = existing(settings, self._cleanup, patient=False)
        if api is not None:
            return found(api.url, api.token or "")
        ensure_token(settings)
        self._lease = _started(settings)
        return found(self._lease.url, read_token(settings) or "")

    def release(self) -> str | None:
        """Give it back; return why one of our own has ended by itself."""
        reason = None
        if self._lease is not None:
            reason = self._lease.failure()
            with _goodbye(self._lease.own is not None):
                self._lease.release()
        self._cleanup.close()
        return reason


def _started(settings: Settings) -> Lease:
    """Return a stack of our own, or the one that somebody was faster to start."""
    from orchestrator.local.errors import StackRunning
    from orchestrator.local.launch import join_stack, start_stack

    try:
        return start_stack(settings, settings.port, {}, fall_back=True)
    except StackRunning:
        joined = join_stack(settings)
        if joined is None:
            raise
        return joined


@contextlib.contextmanager
def _goodbye(own: bool) -> Iterator[None]:
    """Say what is waited for, and take the word back."""
    if not (own and sys.stderr.isatty()):
        yield
        return
    with contextlib.suppress(OSError):
        os.write(sys.stderr.fileno(), b"Saving sessions ...")
    yield
    with contextlib.suppress(OSError):
        os.write(sys.stderr.fileno(), b"\r\x1b[2K")


if __name__ == "__main__":
    main()
