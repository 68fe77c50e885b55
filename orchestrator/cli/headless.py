"""A headless session from the first check to the last line.

Owns the order: what can be refused is refused before anything starts, the turn is
followed to its end, and the session is gone before the result is told.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.cli.changes import Changes, repository_warnings
from orchestrator.cli.directory import check_project
from orchestrator.cli.failures import UsageError, code_of, complain, explain
from orchestrator.cli.interrupts import Interrupted, Interrupts
from orchestrator.cli.outcome import Outcome, check_result_file, write_result
from orchestrator.cli.progress import Progress, clean
from orchestrator.cli.projects import SessionFailed, close_session
from orchestrator.cli.server import connect
from orchestrator.cli.turns import TurnFollower, TurnRules
from orchestrator.domain.errors import InvalidRequest, JidoError
from orchestrator.domain.models import parse_model
from orchestrator.local.http import Api
from orchestrator.settings import Settings, load_settings


@dataclass(frozen=True)
class RunOptions:
    """What `jido run` was asked."""

    project: str
    """Absolute path."""
    prompt: str
    model: str | None = None
    """`provider:model`; None leaves it to the settings."""
    json_lines: bool = False
    timeout_s: float | None = None
    """Seconds of the turn; None means the server's own limit."""
    max_model_requests: int | None = None
    """None means no limit."""
    max_cost_usd: float | None = None
    """None means no limit."""
    approve: str | None = None
    """ask, edits or all; None leaves it to the settings."""
    result: Path | None = None
    """File for the result; None writes none."""
    keep: bool = False


def run_headless(options: RunOptions) -> int:
    """Run one turn and return the exit code; raises JidoError for what is refused beforehand."""
    settings = load_settings()
    _check(options, settings)
    run = HeadlessRun(options)
    interrupts = Interrupts()
    with interrupts.installed():
        try:
            run.go(settings, interrupts)
        except Interrupted:
            run.outcome.status = "cancelled"
        except JidoError as error:
            if isinstance(error, InvalidRequest) or code_of(error) == 2:
                raise
            run.outcome.status, run.outcome.error = "infrastructure", explain(error)
    return run.tell()


def _check(options: RunOptions, settings: Settings) -> None:
    if options.model is not None:
        parse_model(options.model)
    if options.timeout_s is not None and not options.timeout_s > 0:
        raise UsageError("--timeout takes a number of seconds above 0.")
    if options.max_model_requests is not None and options.max_model_requests < 1:
        raise UsageError("--max-turns takes a number of at least 1.")
    if options.max_cost_usd is not None and not options.max_cost_usd >= 0:
        raise UsageError("--max-cost takes an amount of at least 0.")
    if options.result is not None:
        check_result_file(options.result)
    check_project(settings, options.project, elsewhere="url" in settings.model_fields_set)


class HeadlessRun:
    """One run, and what is known about its end."""

    def __init__(self, options: RunOptions) -> None:
        """Keep the options; nothing happens before `go`."""
        self.options = options
        self.outcome = Outcome()
        self._progress = Progress()

    def go(self, settings: Settings, interrupts: Interrupts) -> None:
        """Open the session, follow the turn, close the session; raises JidoError, Interrupted."""
        environment = {}
        if self.options.approve is not None:
            environment["JIDO_APPROVAL"] = self.options.approve
        with interrupts.armed():
            server = connect(settings, environment)
            api = server.__enter__()
        try:
            self._with_session(api, interrupts)
        finally:
            server.__exit__(None, None, None)

    def tell(self) -> int:
        """Print the result and return the exit code."""
        self._progress.clear()
        outcome = self.outcome
        if self.options.json_lines:
            _print_line(outcome.line())
        elif outcome.text and outcome.status == "done":
            _print_text(outcome.text)
        for warning in outcome.warnings:
            complain(clean(warning, 600))
        if outcome.error is not None:
            complain(outcome.error)
        elif outcome.status == "cancelled":
            complain("Cancelled.")
        if self.options.result is not None:
            write_result(self.options.result, outcome)
        return outcome.exit_code

    def _with_session(self, api: Api, interrupts: Interrupts) -> None:
        config = {"model": self.options.model} if self.options.model else {}
        body = {"project_path": self.options.project, "config": config or None}
        session = api.call("POST", "/v1/sessions", body)
        self.outcome.session_id = session["id"]
        try:
            self._follow(api, session, interrupts)
        finally:
            if not self.options.keep:
                close_session(api, session["id"], save=False)

    def _follow(self, api: Api, session: dict[str, Any], interrupts: Interrupts) -> None:
        options = self.options
        rules = TurnRules(
            timeout_s=options.timeout_s,
            max_model_requests=options.max_model_requests,
            max_cost_usd=options.max_cost_usd,
            approve=options.approve,
        )
        follower = TurnFollower(api, session["id"], rules, self.outcome, self._see)
        try:
            with interrupts.armed():
                follower.until_ready()
            changes = Changes(api, session["id"])
            follower.start(options.prompt)
            with interrupts.armed():
                follower.until_over()
        except Interrupted:
            follower.stop("cancelled")
            if self.outcome.turn_id is None:
                return
        except SessionFailed as error:
            self.outcome.status, self.outcome.error = "infrastructure", error.detail
            return
        follower.settle()
        self.outcome.files_changed = changes.paths()
        self.outcome.warnings = repository_warnings(api, session["id"])

    def _see(self, event: dict[str, Any]) -> None:
        if self.options.json_lines:
            _print_line(event)
        self._progress.event(event)


def _print_line(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def _print_text(text: str) -> None:
    """Print the answer; on a terminal without characters that could command it."""
    if sys.stdout.isatty():
        text = "".join(
            c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text
        )
    sys.stdout.write(text if text.endswith("\n") else text + os.linesep)
    sys.stdout.flush()
