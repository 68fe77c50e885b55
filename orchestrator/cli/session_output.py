"""What `jido session …` prints, and the server it talks to.

Owns the columns of lists, and that nothing printed can move a terminal's cursor.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from orchestrator.local.http import Api

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Sure = Annotated[bool, typer.Option("--yes", help="Do not ask on a terminal.")]


@contextmanager
def server() -> Iterator[Api]:
    """Yield the server that commands talk to."""
    from orchestrator.cli.server import connect
    from orchestrator.settings import load_settings

    with connect(load_settings()) as api:
        yield api


def show(value: Any, as_json: bool, lines: Callable[[], list[str]]) -> None:
    """Print `value` as JSON, or else `lines`."""
    if as_json:
        print(json.dumps(value, ensure_ascii=False))
        return
    for line in lines():
        printable = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)
        print(printable)
    sys.stdout.flush()


def confirmed(question: str, sure: bool) -> bool:
    """Ask on a terminal, unless somebody is `sure`; without one nothing is asked."""
    if sure or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def live_lines(items: list[dict[str, Any]]) -> list[str]:
    """Return a line for each of all live sessions."""
    from orchestrator.domain.names import shown_names

    names = shown_names(item["name"] for item in items)
    return [
        f"{number:>2}  {live_line(item, name)}"
        for number, (item, name) in enumerate(zip(items, names, strict=True), 1)
    ]


def live_line(item: dict[str, Any], name: str | None = None) -> str:
    """Return the line of one live session."""
    return (
        f"{item['id'][:8]}  {item['status']:<10}  {item['activity']:<17}  "
        f"{name or item['name']}  {item['project_path']}"
    )


def config_lines(session: dict[str, Any]) -> list[str]:
    """Return the configuration of a session, a line for each key."""
    words = {None: "provider's default"}
    return [f"{key}  {words.get(value, value)}" for key, value in session["config"].items()]


def saved_lines(items: list[dict[str, Any]]) -> list[str]:
    """Return a line for each saved session."""
    return [
        f"{number:>3}  {item['id'][:8]}  {item['updated_at'][:16]}  "
        f"{item['messages']:>5} messages  "
        f"{item['name']}  {item['project_path']}"
        + (f"  ({item['error']}: {item['detail']})" if item["error"] else "")
        for number, item in enumerate(items, 1)
    ]
