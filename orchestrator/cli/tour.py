"""The tour: one turn of the offline model on the example project, printed.

Owns a home of its own, so that it changes nothing of the user's and leaves nothing
behind but one file in the example, which ignores it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from orchestrator.cli.outcome import Outcome
from orchestrator.cli.progress import clean
from orchestrator.cli.projects import SessionFailed, close_session
from orchestrator.cli.server import connect
from orchestrator.cli.turns import TurnFollower, TurnRules
from orchestrator.domain.errors import Unavailable
from orchestrator.local.http import Api
from orchestrator.settings import Settings

_PROMPT: Final = """todo read the project; write a note; run the tests
list .
read greeter.py
write tour.md Written inside the sandbox, owned by you.
run python3 -m unittest discover tests
run cat tour.md
lua return #jido.read_file("greeter.py")
say That was one turn: files read and written, commands run, all inside the sandbox."""
_TURN_S: Final = 120.0
"""Seconds the turn may take."""


class TourFailed(Unavailable):
    """The tour did not get to its end."""

    code = "tour_failed"
    title = "Tour failed"


def tour(settings: Settings) -> int:
    """Show one whole turn and return 0; raises TourFailed, StackFailed and what stops a stack."""
    with _project() as project, _home(settings, project) as own:
        environment = {
            "JIDO_HOME": str(own.home),
            "JIDO_PROJECT_ROOTS": own.project_roots,
            "JIDO_MODEL": "offline:demo",
            "JIDO_APPROVAL": "all",
            "JIDO_WORKERS": "2",
        }
        print("No terminal here, so this is a tour: one turn of the offline model, no key needed.")
        print(f"Project  {project}", flush=True)
        with connect(own, environment, own=True) as api:
            _one_turn(api, str(project))
    print("\nOn a terminal, `jido-tui` opens the client; `jido run --help` works without one.")
    return 0


def _one_turn(api: Api, project: str) -> None:
    session = api.call("POST", "/v1/sessions", {"project_path": project})
    outcome = Outcome(session_id=session["id"])
    rules = TurnRules(_TURN_S, None, None, "all")
    follower = TurnFollower(api, session["id"], rules, outcome, _Transcript().show)
    try:
        follower.until_ready()
        follower.start(_PROMPT)
        follower.until_over()
        follower.settle()
    except SessionFailed as error:
        raise TourFailed(f"The sandbox did not start: {error.detail}") from error
    finally:
        close_session(api, session["id"], save=False)
    if outcome.status != "done":
        raise TourFailed(f"The tour's turn ended as {outcome.status}: {outcome.error}")


class _Transcript:
    """Prints a turn as it happens."""

    def __init__(self) -> None:
        """Start with nothing seen."""
        self._calls: dict[str, dict[str, Any]] = {}

    def show(self, event: dict[str, Any]) -> None:
        """Print what an event says to a reader."""
        kind, data = event["type"], event["data"]
        if kind == "session.ready":
            session = data.get("session", {})
            print(f"Sandbox  {session.get('runtime')}, ready\n")
        elif kind == "message.user":
            print(_quoted("> ", _text(data["message"])))
        elif kind == "message.assistant" and (text := _text(data["message"]).strip()):
            print("\n" + _quoted("", text))
        elif kind == "tool.call":
            self._calls[data["call_id"]] = data
        elif kind == "tool.result":
            call = self._calls.pop(data["call_id"], {})
            values = " ".join(str(value) for value in (call.get("arguments") or {}).values())
            print(f"\n* {call.get('name')} {clean(values, 90)}")
            print(f"  {data['status']} in the sandbox, {data.get('elapsed_ms', 0):.0f} ms")
        sys.stdout.flush()


def _text(message: dict[str, Any]) -> str:
    return "".join(part["text"] for part in message["parts"] if part["type"] == "text")


def _quoted(mark: str, text: str) -> str:
    lines = text.expandtabs(4).splitlines() or [""]
    return "\n".join(mark + "".join(c for c in line if c.isprintable()) for line in lines)


@contextlib.contextmanager
def _home(settings: Settings, project: Path) -> Iterator[Settings]:
    roots = ":".join([*settings.roots, str(project.parent)])
    with tempfile.TemporaryDirectory(prefix="jido-tour-") as directory:
        yield settings.model_copy(
            update={
                "home": Path(directory),
                "token": None,
                "redis_url": None,
                "project_roots": roots,
            }
        )


@contextlib.contextmanager
def _project() -> Iterator[Path]:
    """Yield the example of this checkout, or a copy of the installed one."""
    here = Path(__file__).resolve().parent.parent.parent
    example = here / "examples" / "greeter"
    if example.is_dir() and os.access(example, os.W_OK):
        yield example
        return
    installed = here / "jido_code_examples" / "greeter"
    source = example if example.is_dir() else installed
    if not source.is_dir():
        raise TourFailed("The example project is missing; install jido-code again.")
    with tempfile.TemporaryDirectory(prefix="jido-example-") as directory:
        copy = Path(directory) / "greeter"
        shutil.copytree(source, copy)
        yield copy
