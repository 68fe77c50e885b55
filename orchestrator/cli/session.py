"""`jido session …` about live sessions: what the client's commands do, for scripts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import session_saved
from orchestrator.cli.failures import CANCELLED, UsageError, complain
from orchestrator.cli.session_output import (
    Json,
    Sure,
    config_lines,
    confirmed,
    live_line,
    live_lines,
    server,
    show,
)

if TYPE_CHECKING:
    from orchestrator.local.http import Api

app = typer.Typer(
    help="Everything about sessions, live and saved. Sessions are named by number, name, id, "
    "or the beginning of one.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Target = Annotated[str, typer.Argument(help="Number, name or id of a live session.")]


@app.command("list")
def list_sessions(as_json: Json = False) -> int:
    """List the live sessions, oldest first."""
    with server() as api:
        page = api.call("GET", "/v1/sessions")
    show(page, as_json, lambda: live_lines(page["items"]))
    return 0


@app.command("show")
def show_session(target: Target, as_json: Json = False) -> int:
    """Show one live session."""
    from orchestrator.cli.projects import find_session

    with server() as api:
        session = find_session(api, target)
    show(session, as_json, lambda: [live_line(session), *config_lines(session)])
    return 0


@app.command("new")
def new(
    project: Annotated[
        Path | None, typer.Argument(help="Directory; the current one by default.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", "-n", help="Name; the directory's by default.")
    ] = None,
    model: Annotated[str | None, typer.Option(metavar="P:M", help="provider:model.")] = None,
    project_option: Annotated[
        Path | None, typer.Option("--project", help="The same as the argument.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Open a session and wait until its sandbox is ready."""
    from orchestrator.cli.directory import project_path
    from orchestrator.cli.projects import wait_or_close
    from orchestrator.domain.models import parse_model

    body: dict[str, Any] = {"project_path": project_path(project or project_option)}
    if name is not None:
        body["name"] = name
    if model is not None:
        parse_model(model)
        body["config"] = {"model": model}
    with server() as api:
        session = wait_or_close(api, api.call("POST", "/v1/sessions", body), complain)
        show(session, as_json, lambda: [live_line(session)])
    return 0


@app.command("close")
def close(
    target: Target,
    save: Annotated[bool, typer.Option("--save/--no-save", help="Save it first.")] = True,
    sure: Sure = False,
    as_json: Json = False,
) -> int:
    """Close a session and remove its sandbox; saved unless nothing was said in it."""
    from orchestrator.cli.projects import CLOSE_S, find_session

    with server() as api:
        session = find_session(api, target)
        question = f"“{session['name']}” is working. Close it and stop the turn?"
        if session["activity"] != "idle" and not confirmed(question, sure):
            return CANCELLED
        flag = "true" if save else "false"
        api.call("DELETE", f"/v1/sessions/{session['id']}?save={flag}", timeout_s=CLOSE_S)
    show({"id": session["id"], "closed": True}, as_json, lambda: [f"closed {session['name']}"])
    return 0


@app.command("rename")
def rename(target: Target, name: str, as_json: Json = False) -> int:
    """Give a session another name."""
    return _change(target, {"name": name}, as_json, lambda session: [live_line(session)])


@app.command("config")
def config(
    target: Target,
    changes: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]…", help="provider, model, temperature, max_tokens."),
    ] = None,
    as_json: Json = False,
) -> int:
    """Show or change how a session thinks, from its next turn on.

    `default` as a number returns to the provider's default.
    """
    from orchestrator.domain.config_words import config_value

    change = {}
    for pair in changes or []:
        key, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"“{pair[:80]}” is no change. Write KEY=VALUE.")
        change[key] = config_value(key, value)
    return _change(target, {"config": change} if change else {}, as_json, config_lines)


@app.command("save")
def save(target: Target, as_json: Json = False) -> int:
    """Save a session now and say where; every turn is saved as it ends, too."""
    from orchestrator.cli.projects import find_session

    with server() as api:
        session = find_session(api, target)
        outcome = api.call("POST", f"/v1/sessions/{session['id']}/save")
    show(outcome, as_json, lambda: [outcome["detail"]])
    return 0


@app.command("restart")
def restart(target: Target, as_json: Json = False) -> int:
    """Give a session a fresh sandbox and wait until it is ready; the conversation stays."""
    from orchestrator.cli.projects import find_session, wait_session

    with server() as api:
        found = find_session(api, target)
        restarting = api.call("POST", f"/v1/sessions/{found['id']}/restart")
        session = wait_session(api, restarting, complain)
    show(session, as_json, lambda: [live_line(session)])
    return 0


@app.command("export")
def export(
    target: Target,
    file: Annotated[Path | None, typer.Argument(help="Standard output by default.")] = None,
    redact: Annotated[
        bool, typer.Option("--redact", help="Take out what looks like a secret; best effort.")
    ] = False,
    of_saved: Annotated[bool, typer.Option("--saved", help="TARGET is a saved session.")] = False,
    as_json: Json = False,
) -> int:
    """Write a live session, or with --saved a saved one, as one portable JSON document."""
    from orchestrator.cli.documents import write_document
    from orchestrator.cli.projects import find_session

    with server() as api:
        find = session_saved.find_saved_session if of_saved else find_session
        session = find(api, target)
        place = f"/v1/{'saved' if of_saved else 'sessions'}/{session['id']}/export"
        query = f"?redact={'true' if redact else 'false'}"
        document = api.call("GET", place + query, timeout_s=120.0)
    if redact:
        complain("What looks like a secret was taken out. Look yourself before you share it.")
    if file is None:
        print(json.dumps(document, ensure_ascii=False))
        return 0
    write_document(file, document)
    show({"id": session["id"], "file": str(file)}, as_json, lambda: [f"wrote {file}"])
    return 0


session_saved.add_to(app)


def _change(
    target: str,
    change: dict[str, Any],
    as_json: bool,
    lines: Callable[[dict[str, Any]], list[str]],
) -> int:
    from orchestrator.cli.projects import find_session

    with server() as api:
        session = find_session(api, target)
        if change:
            session = api.call("PATCH", f"/v1/sessions/{session['id']}", change)
        if "config" in change:
            _warn_of_model(api, session["config"])
    show(session, as_json, lambda: lines(session))
    return 0


def _warn_of_model(api: Api, config: dict[str, Any]) -> None:
    """Say what is missing when the model cannot be used here."""
    provider = config["provider"]
    for item in api.call("GET", "/v1/models")["items"]:
        if item["id"].partition(":")[0] == provider and not item["available"]:
            complain(f"{provider}:{config['model']} cannot be used yet. {item['reason']}")
            return
