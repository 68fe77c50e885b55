"""`jido lua`: a Lua script in a sandbox."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from orchestrator.local.http import Api


def lua(
    script: Annotated[
        str, typer.Argument(metavar="FILE|-", help="The script; `-` reads standard input.")
    ],
    project: Annotated[
        Path | None, typer.Option(help="Directory to work in; the current one by default.")
    ] = None,
    session: Annotated[
        str | None, typer.Option(metavar="S", help="A live session: id, name or number.")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(metavar="S", help="Seconds; 30 by default, 3600 at most.")
    ] = None,
    reset: Annotated[
        bool, typer.Option("--reset", help="Forget first what earlier scripts set in the session.")
    ] = False,
    json_outcome: Annotated[
        bool, typer.Option("--json", help="Print the outcome as one JSON object.")
    ] = False,
) -> int:
    """Run a Lua script in a sandbox.

    What it prints goes to standard output, then what it returns, unless that is nil. The
    exit code is 0, 1 when the script fails, 124 at a timeout and 125 when we fail.
    """
    from orchestrator.cli.failures import CANCELLED
    from orchestrator.cli.sandboxed import check_target, check_timeout, in_session

    check_target(project, session)
    check_timeout(timeout)
    source = _read(script)
    try:
        with in_session(project, session) as (api, session_id):
            outcome = _run(api, session_id, source, timeout, reset)
    except KeyboardInterrupt:
        return CANCELLED
    return _tell(outcome, json_outcome)


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
    api: Api, session_id: str, source: str, timeout_s: float | None, reset: bool
) -> dict[str, Any]:
    from orchestrator.domain.limits import TOOL_TIMEOUT_S

    body: dict[str, Any] = {"script": source, "reset": reset}
    if timeout_s is not None:
        body["timeout_s"] = timeout_s
    outcome: dict[str, Any] = api.call(
        "POST",
        f"/v1/sessions/{session_id}/lua",
        body,
        timeout_s=(timeout_s or TOOL_TIMEOUT_S) + 30.0,
    )
    return outcome


def _tell(outcome: dict[str, Any], json_outcome: bool) -> int:
    import json
    import sys

    from orchestrator.cli.failures import COMMAND_TIMEOUT, complain

    value, error = outcome.get("value"), outcome.get("error") or {}
    if json_outcome:
        print(json.dumps(outcome, ensure_ascii=False))
    else:
        sys.stdout.write(outcome["output"])
        if outcome["output"] and not outcome["output"].endswith("\n"):
            sys.stdout.write("\n")
        if value is not None:
            print(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    sys.stdout.flush()
    if outcome["ok"]:
        return 0
    complain(f"{error.get('message')} ({error.get('code')})")
    return COMMAND_TIMEOUT if error.get("code") in {"lua_timeout", "timeout"} else 1
