"""`jido-tui`: the client on a terminal, a headless tour without one.

Owns finding a server without keeping the client waiting: the address is known before
the server has started, because the port is bound here. Refuses to draw.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, NoReturn

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
    from orchestrator.settings import Settings


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

    from orchestrator.cli.projects import check_project, project_path
    from orchestrator.settings import load_settings

    overrides = {"url": given.server, "token": given.token}
    settings = load_settings(**{name: value for name, value in overrides.items() if value})
    path = project_path(Path(given.path) if given.path else None)
    check_project(path, elsewhere="url" in settings.model_fields_set)
    if sys.stdin.isatty() and sys.stdout.isatty():
        with _drawing_on_terminal():
            return _on_terminal(settings, path)
    if given.path or given.server:
        raise UsageError("The client needs a terminal. Without one use `jido run --project PATH`.")
    from orchestrator.cli.tour import tour

    return tour(settings)


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


def _on_terminal(settings: Settings, path: str) -> int:
    from orchestrator.cli.server import existing
    from orchestrator.local.errors import StackRunning
    from orchestrator.local.home import ensure_token, read_token
    from orchestrator.local.launch import join_stack, start_stack
    from tui.app import run

    # What the environment names wins over what projects ask for.
    show = partial(run, theme=settings.theme, keeps_theme=bool(os.environ.get("JIDO_THEME")))
    with contextlib.ExitStack() as cleanup:
        api = existing(settings, cleanup, patient=False)
        if api is not None:
            return show(api.url, api.token or "", path)
        ensure_token(settings)
        try:
            lease = start_stack(settings, settings.port, {}, fall_back=True)
        except StackRunning:
            joined = join_stack(settings)
            if joined is None:
                raise
            lease = joined
        try:
            code = show(lease.url, read_token(settings) or "", path)
        finally:
            reason = lease.failure()
            with _goodbye(lease.own is not None):
                lease.release()
        if reason is not None:
            complain(reason)
            return code or 6
        return code


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
