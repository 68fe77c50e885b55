"""`jido lua`: a Lua script, or one of the project's own tools, in a sandbox."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from orchestrator.local.http import Api


def lua(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE|-|KEY=VALUE…",
            help="The script; `-` reads standard input. With --tool: its arguments.",
        ),
    ] = None,
    project: Annotated[
        Path | None, typer.Option(help="Directory to work in; the current one by default.")
    ] = None,
    session: Annotated[
        str | None, typer.Option(metavar="S", help="A live session: id, name or number.")
    ] = None,
    tool: Annotated[
        str | None, typer.Option(metavar="NAME", help="Call a trusted tool of the project.")
    ] = None,
    arguments: Annotated[
        str | None, typer.Option(metavar="JSON", help="Its arguments as one object; `-` reads it.")
    ] = None,
    tools: Annotated[bool, typer.Option("--tools", help="List the project's tools.")] = False,
    timeout: Annotated[
        float | None, typer.Option(metavar="S", help="Seconds; 30 by default, 3600 at most.")
    ] = None,
    reset: Annotated[
        bool, typer.Option("--reset", help="Forget first what earlier calls set in the session.")
    ] = False,
    json_outcome: Annotated[
        bool, typer.Option("--json", help="Print the outcome, or the list, as one JSON object.")
    ] = False,
) -> int:
    """Run a Lua script, or a tool of the project, in a sandbox.

    What a script prints goes to standard output, then what it returns, unless that is nil.
    Of a tool, standard output has the value alone, as JSON; what it prints goes to standard
    error. The exit code is 0, 1 when the script or tool fails, 124 at a timeout and 125 when
    we fail.
    """
    from orchestrator.cli import lua_tools
    from orchestrator.cli.failures import CANCELLED
    from orchestrator.cli.sandboxed import check_target, check_timeout, in_session

    check_target(project, session)
    check_timeout(timeout)
    asked = lua_tools.asked(words or [], tool, arguments, tools)
    body = {"script": _read((words or ["-"])[0])} if asked is None else {}
    try:
        with in_session(project, session) as (api, session_id):
            if tools:
                return lua_tools.show(api, session_id, json_outcome)
            if asked is not None:
                body = lua_tools.body(api, session_id, asked)
            outcome = _run(api, session_id, {**body, "reset": reset}, timeout)
    except KeyboardInterrupt:
        return CANCELLED
    return _tell(outcome, json_outcome, is_tool=asked is not None)


def _read(script: str) -> str:
    import sys

    from orchestrator.cli.failures import UsageError
    from orchestrator.domain.limits import MAX_BODY_BYTES

    try:
        if script == "-":
            raw = sys.stdin.buffer.read(MAX_BODY_BYTES + 1)
        else:
            with open(script, "rb") as file:
                raw = file.read(MAX_BODY_BYTES + 1)
        text = raw.decode()
    except (OSError, ValueError) as error:
        cause = getattr(error, "strerror", None) or "it is not text in UTF-8"
        raise UsageError(f"{script} cannot be read: {cause}.") from error
    if len(raw) > MAX_BODY_BYTES // 2:
        raise UsageError(f"{script} has more than {MAX_BODY_BYTES // 2:,} bytes.")
    return text


def _run(
    api: Api, session_id: str, body: dict[str, Any], timeout_s: float | None
) -> dict[str, Any]:
    from orchestrator.domain.limits import TOOL_TIMEOUT_S

    if timeout_s is not None:
        body["timeout_s"] = timeout_s
    outcome: dict[str, Any] = api.call(
        "POST",
        f"/v1/sessions/{session_id}/lua",
        body,
        timeout_s=(timeout_s or TOOL_TIMEOUT_S) + 30.0,
    )
    return outcome


def _tell(outcome: dict[str, Any], json_outcome: bool, *, is_tool: bool) -> int:
    import json
    import sys

    from orchestrator.cli.failures import COMMAND_TIMEOUT, complain

    value, error = outcome.get("value"), outcome.get("error") or {}
    if json_outcome:
        print(json.dumps(outcome, ensure_ascii=False))
    else:
        printed = sys.stderr if is_tool else sys.stdout
        printed.write(outcome["output"])
        if outcome["output"] and not outcome["output"].endswith("\n"):
            printed.write("\n")
        if is_tool:
            if outcome["ok"]:
                print(json.dumps(value, ensure_ascii=False))
        elif value is not None:
            print(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    sys.stdout.flush()
    if outcome["ok"]:
        return 0
    complain(f"{error.get('message')} ({error.get('code')})")
    return COMMAND_TIMEOUT if error.get("code") in {"lua_timeout", "timeout"} else 1
