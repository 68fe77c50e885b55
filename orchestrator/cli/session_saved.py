"""`jido session …` about saved sessions: list, resume, delete, take in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.failures import CANCELLED, UsageError, complain
from orchestrator.cli.session_output import (
    Json,
    Sure,
    confirmed,
    live_line,
    saved_lines,
    server,
    show,
)

if TYPE_CHECKING:
    from orchestrator.local.http import Api

Saved = Annotated[str, typer.Argument(help="Number, name or id of a saved session.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("saved")(saved)
    app.command("resume")(resume)
    app.command("delete")(delete)
    app.command("clear")(clear)
    app.command("import")(take_in)


def saved(as_json: Json = False) -> int:
    """List the saved sessions, newest first."""
    with server() as api:
        items = _all_saved(api)
    show({"items": items, "next": None}, as_json, lambda: saved_lines(items))
    return 0


def resume(
    target: Saved,
    project: Annotated[
        Path | None, typer.Option(help="Where the project is now; where it was by default.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Open a saved session again and wait until its sandbox is ready."""
    from orchestrator.cli.directory import project_path
    from orchestrator.cli.projects import wait_or_close

    body = {"project_path": project_path(project)} if project is not None else {}
    with server() as api:
        found = find_saved_session(api, target)
        resumed = api.call("POST", f"/v1/saved/{found['id']}/resume", body)
        session = wait_or_close(api, resumed, complain)
        show(session, as_json, lambda: [live_line(session)])
    return 0


def delete(target: Saved, sure: Sure = False, as_json: Json = False) -> int:
    """Delete a saved session for good."""
    with server() as api:
        found = find_saved_session(api, target)
        if not confirmed(f"Delete the saved session “{found['name']}” for good?", sure):
            return CANCELLED
        api.call("DELETE", f"/v1/saved/{found['id']}")
    show({"id": found["id"], "deleted": True}, as_json, lambda: [f"deleted {found['name']}"])
    return 0


def clear(sure: Sure = False, as_json: Json = False) -> int:
    """Delete all saved sessions for good; asks, and needs --yes without a terminal."""
    import sys

    if not sure and not sys.stdin.isatty():
        raise UsageError("All saved sessions would be deleted; --yes says that this is meant.")
    with server() as api:
        items = _all_saved(api)
        if items and not confirmed(f"Delete all {len(items)} saved sessions for good?", sure):
            return CANCELLED
        for item in items:
            api.call("DELETE", f"/v1/saved/{item['id']}")
    show({"deleted": [i["id"] for i in items]}, as_json, lambda: [f"deleted {len(items)}"])
    return 0


def take_in(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="A document of `export`.")],
    project: Annotated[
        Path | None,
        typer.Option(help="Where the project is here; as the document says by default."),
    ] = None,
    as_json: Json = False,
) -> int:
    """Take in a portable document; what comes of it is printed."""
    from urllib.parse import quote

    from orchestrator.cli.directory import project_path
    from orchestrator.cli.documents import read_document

    document = read_document(file)
    place = f"?project_path={quote(project_path(project))}" if project is not None else ""
    with server() as api:
        session = api.call("POST", f"/v1/import{place}", document, timeout_s=120.0)
        show(session, as_json, lambda: [f"{session.get('id')}  {session.get('name')}"])
    return 0


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


def find_saved_session(api: Api, target: str) -> dict[str, Any]:
    """Return the saved session that `target` means; raises SavedSessionNotFound."""
    from orchestrator.domain.targets import Named, find_saved

    return find_saved(target, _all_saved(api), lambda item: Named(item["id"], item["name"]))
