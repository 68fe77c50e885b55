"""`jido session …`: what the client's commands do, for scripts."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from orchestrator.local.http import Api

app = typer.Typer(
    help="List, open, close, rename, resume, delete, export and import sessions.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Target = Annotated[str, typer.Argument(help="Id, its beginning, name or number of a live session.")]
Saved = Annotated[str, typer.Argument(help="Id, its beginning or number of a saved session.")]


@app.command("list")
def list_sessions(as_json: Json = False) -> int:
    """List the live sessions, oldest first."""
    with _server() as api:
        page = api.call("GET", "/v1/sessions")
    _show(page, as_json, lambda: _live_lines(page["items"]))
    return 0


@app.command("new")
def new(
    project: Annotated[
        Path | None, typer.Argument(help="Directory; the current one by default.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name; the directory's by default.")] = None,
    model: Annotated[str | None, typer.Option(metavar="P:M", help="provider:model.")] = None,
    project_option: Annotated[
        Path | None, typer.Option("--project", help="The same as the argument.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Open a session and wait until its sandbox is ready."""
    from orchestrator.cli.projects import project_path, wait_session
    from orchestrator.domain.models import parse_model

    body: dict[str, Any] = {"project_path": project_path(project or project_option)}
    if name is not None:
        body["name"] = name
    if model is not None:
        parse_model(model)
        body["config"] = {"model": model}
    with _server() as api:
        created = api.call("POST", "/v1/sessions", body)
        session = _or_close(api, created, wait_session)
        _show(session, as_json, lambda: _live_lines([session]))
    return 0


@app.command("close")
def close(
    target: Target,
    save: Annotated[bool, typer.Option("--save/--no-save", help="Save it first.")] = True,
    as_json: Json = False,
) -> int:
    """Close a session and remove its sandbox; saved unless it is empty."""
    from orchestrator.cli.projects import CLOSE_S, find_session

    with _server() as api:
        session = find_session(api, target)
        flag = "true" if save else "false"
        api.call("DELETE", f"/v1/sessions/{session['id']}?save={flag}", timeout_s=CLOSE_S)
    _show({"id": session["id"], "closed": True}, as_json, lambda: [f"closed {session['name']}"])
    return 0


@app.command("rename")
def rename(target: Target, name: str, as_json: Json = False) -> int:
    """Give a session another name."""
    from orchestrator.cli.projects import find_session

    with _server() as api:
        found = find_session(api, target)
        session = api.call("PATCH", f"/v1/sessions/{found['id']}", {"name": name})
    _show(session, as_json, lambda: _live_lines([session]))
    return 0


@app.command("saved")
def saved(as_json: Json = False) -> int:
    """List the saved sessions, newest first."""
    with _server() as api:
        page = {"items": _all_saved(api), "next": None}
    _show(page, as_json, lambda: _saved_lines(page["items"] or []))
    return 0


@app.command("resume")
def resume(
    target: Saved,
    project: Annotated[
        Path | None, typer.Option(help="Where the project is now; where it was by default.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Open a saved session again and wait until its sandbox is ready."""
    from orchestrator.cli.projects import project_path, wait_session

    body = {"project_path": project_path(project)} if project is not None else {}
    with _server() as api:
        found = _find_saved(api, target)
        resumed = api.call("POST", f"/v1/saved/{found['id']}/resume", body)
        session = _or_close(api, resumed, wait_session)
        _show(session, as_json, lambda: _live_lines([session]))
    return 0


@app.command("delete")
def delete(target: Saved, as_json: Json = False) -> int:
    """Delete a saved session."""
    with _server() as api:
        found = _find_saved(api, target)
        api.call("DELETE", f"/v1/saved/{found['id']}")
    _show({"id": found["id"], "deleted": True}, as_json, lambda: [f"deleted {found['name']}"])
    return 0


@app.command("export")
def export(
    target: Target,
    file: Annotated[Path | None, typer.Argument(help="Standard output by default.")] = None,
    as_json: Json = False,
) -> int:
    """Write a live session as one portable JSON document."""
    from orchestrator.cli.documents import write_document
    from orchestrator.cli.projects import find_session

    with _server() as api:
        session = find_session(api, target)
        document = api.call("GET", f"/v1/sessions/{session['id']}/export", timeout_s=120.0)
    if file is None:
        print(json.dumps(document, ensure_ascii=False))
        return 0
    write_document(file, document)
    _show({"id": session["id"], "file": str(file)}, as_json, lambda: [f"wrote {file}"])
    return 0


@app.command("import")
def import_(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="A document of `export`.")],
    as_json: Json = False,
) -> int:
    """Take in a portable document; what comes of it is printed."""
    from orchestrator.cli.documents import read_document

    document = read_document(file)
    with _server() as api:
        session = api.call("POST", "/v1/import", document, timeout_s=120.0)
        _show(session, as_json, lambda: [f"{session.get('id')}  {session.get('name')}"])
    return 0


@contextmanager
def _server() -> Iterator[Api]:
    from orchestrator.cli.server import connect
    from orchestrator.settings import load_settings

    with connect(load_settings()) as api:
        yield api


def _or_close(
    api: Api, session: dict[str, Any], wait: Callable[[Api, dict[str, Any]], dict[str, Any]]
) -> dict[str, Any]:
    """Wait for a session; one that does not become ready is closed again."""
    from orchestrator.cli.projects import close_session

    ready = False
    try:
        waited = wait(api, session)
        ready = True
        return waited
    finally:
        if not ready:
            close_session(api, session["id"], save=False)


def _all_saved(api: Api) -> list[dict[str, Any]]:
    from urllib.parse import quote

    items: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = api.call("GET", "/v1/saved" + (f"?cursor={quote(cursor)}" if cursor else ""))
        items += page["items"]
        cursor = page.get("next")
        if not cursor or not page["items"]:
            return items


def _find_saved(api: Api, target: str) -> dict[str, Any]:
    from orchestrator.domain.errors import SavedSessionNotFound

    items = _all_saved(api)
    if target.isdecimal() and 1 <= int(target) <= len(items):
        return items[int(target) - 1]
    exact = [item for item in items if target in {item["id"], item["name"]}]
    found = exact or [item for item in items if len(target) >= 4 and item["id"].startswith(target)]
    if len(found) == 1:
        return found[0]
    what = "names several saved sessions" if found else "is no saved session"
    raise SavedSessionNotFound(
        f"“{target[:80]}” {what}. `jido session saved` lists them; use an id."
    )


def _show(value: Any, as_json: bool, lines: Callable[[], list[str]]) -> None:
    if as_json:
        print(json.dumps(value, ensure_ascii=False))
        return
    for line in lines():
        printable = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)
        print(printable)
    sys.stdout.flush()


def _live_lines(items: list[dict[str, Any]]) -> list[str]:
    return [
        f"{number:>2}  {item['id'][:8]}  {item['status']:<10}  {item['activity']:<17}  "
        f"{item['name']}  {item['project_path']}"
        for number, item in enumerate(items, 1)
    ]


def _saved_lines(items: list[dict[str, Any]]) -> list[str]:
    return [
        f"{number:>3}  {item['id'][:8]}  {item['updated_at'][:16]}  "
        f"{item['messages']:>5} messages  "
        f"{item['name']}  {item['project_path']}"
        + (f"  ({item['error']})" if item["error"] else "")
        for number, item in enumerate(items, 1)
    ]
