"""Following one turn to its end, and ending it when a rule says so.

Owns what the rules of `jido run` mean: time, requests to the model, money, approvals.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.cli.http import DeadlinePassed, EventFollower
from orchestrator.cli.outcome import Outcome, OutcomeStatus
from orchestrator.cli.projects import START_S, SessionFailed, failure_of
from orchestrator.domain.errors import JidoError
from orchestrator.local.http import Api

_SETTLE_S: Final = 15.0
"""Seconds a cancelled turn has to end."""
_ENDS: Final[dict[str, OutcomeStatus]] = {
    "turn.completed": "done",
    "turn.failed": "failed",
    "turn.cancelled": "cancelled",
    "turn.interrupted": "failed",
}
_EDITS: Final = frozenset({"write_file", "edit_file", "create_directory", "delete_file"})
"""Tools that `--approve edits` allows."""


@dataclass(frozen=True)
class TurnRules:
    """When a turn is ended early; None never does."""

    timeout_s: float | None
    max_model_requests: int | None
    max_cost_usd: float | None
    approve: str | None
    """What is approved without asking; None and `ask` approve nothing."""


class TurnFollower:
    """One session's events, understood as the story of one turn."""

    def __init__(
        self,
        api: Api,
        session_id: str,
        rules: TurnRules,
        outcome: Outcome,
        see: Callable[[dict[str, Any]], None],
    ) -> None:
        """Fill `outcome` from what happens; `see` is shown every event."""
        self._api = api
        self._path = f"/v1/sessions/{session_id}"
        self._rules = rules
        self._outcome = outcome
        self._see = see
        self._events = EventFollower(api, session_id)
        self._requests = 0
        self._ended: OutcomeStatus | None = None
        self._stopped: OutcomeStatus | None = None

    def until_ready(self) -> None:
        """Wait for the sandbox; raises SessionFailed."""
        try:
            for event in self._events.follow(time.monotonic() + START_S):
                self._see(event)
                if event["type"] == "session.ready":
                    return
                if event["type"] in {"session.failed", "session.closed"}:
                    raise SessionFailed(failure_of(event))
        except DeadlinePassed:
            raise SessionFailed(
                f"The sandbox was not ready after {START_S:.0f} seconds. `jido doctor` says why."
            ) from None

    def start(self, prompt: str) -> None:
        """Hand in the prompt; a repeated call is the same turn."""
        body: dict[str, Any] = {"prompt": prompt}
        limits = {
            "approval": self._rules.approve,
            "max_model_requests": self._rules.max_model_requests,
            "max_cost_usd": self._rules.max_cost_usd,
        }
        body.update({name: value for name, value in limits.items() if value is not None})
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        turn = self._api.call("POST", f"{self._path}/turns", body, headers=headers)
        self._outcome.turn_id = turn["id"]

    def until_over(self) -> None:
        """Follow the turn until it ends, or until a rule ends it."""
        limit = self._rules.timeout_s
        deadline = None if limit is None else time.monotonic() + limit
        try:
            for event in self._events.follow(deadline):
                self._take(event)
                if self._has_ended or self._stopped is not None:
                    return
        except DeadlinePassed:
            self._outcome.error = f"The turn took longer than {limit:g} seconds."
            self.stop("timeout")

    def stop(self, status: OutcomeStatus) -> None:
        """Cancel the turn, which then counts as `status`."""
        self._stopped = status
        if self._outcome.turn_id is None:
            self._outcome.status = status
            return
        # A server that cannot be asked any more ends the turn when the session is closed.
        with contextlib.suppress(JidoError):
            self._api.call("POST", f"{self._path}/turns/{self._outcome.turn_id}/cancel")

    def settle(self) -> None:
        """Wait until a cancelled turn has ended, and decide how the whole ended."""
        if self._ended is None:
            try:
                for event in self._events.follow(time.monotonic() + _SETTLE_S):
                    self._take(event)
                    if self._has_ended:
                        break
            except (DeadlinePassed, JidoError):
                # Closing the session, which follows, ends the turn in any case.
                pass
        self._outcome.status = self._stopped or self._ended or "infrastructure"
        self._read_usage()

    @property
    def _has_ended(self) -> bool:
        return self._ended is not None

    def _take(self, event: dict[str, Any]) -> None:
        self._see(event)
        kind, data = event["type"], event["data"]
        if kind == "session.closed":
            self._ended = "infrastructure"
            self._outcome.error = "The session was closed by somebody else."
        elif kind in {"session.failed"}:
            self._ended = "infrastructure"
            self._outcome.error = failure_of(event)
        elif kind in _ENDS and data.get("turn", {}).get("id") == self._outcome.turn_id:
            self._end(kind, data["turn"])
        elif data.get("turn_id") != self._outcome.turn_id or self._stopped is not None:
            return
        elif kind == "message.assistant":
            self._message(data["message"])
        elif kind == "approval.requested":
            self._approval(data)

    def _end(self, kind: str, turn: dict[str, Any]) -> None:
        self._ended = _ENDS[kind]
        error = turn.get("error") or {}
        if kind == "turn.failed":
            self._outcome.error = str(error.get("message") or "The turn failed.")
            if error.get("code") == "budget_reached":
                self._ended = "budget"
        elif kind == "turn.interrupted":
            self._outcome.error = "The turn was interrupted: its worker ended."

    def _message(self, message: dict[str, Any]) -> None:
        parts = message.get("parts", [])
        text = "".join(part["text"] for part in parts if part["type"] == "text").strip()
        if text:
            self._outcome.text = text

    def _approval(self, data: dict[str, Any]) -> None:
        tool, approve = str(data.get("tool")), self._rules.approve
        if approve == "all" or (approve == "edits" and tool in _EDITS):
            self._api.call(
                "POST",
                f"{self._path}/turns/{self._outcome.turn_id}/approvals/{data['call_id']}",
                {"decision": "once"},
            )
            return
        self._outcome.error = (
            f"The agent asks to use {tool}, and nobody is here to answer. "
            f"Allow more with {' or '.join(_more_than(approve, tool))}."
        )
        self.stop("needs_approval")

    def _read_usage(self) -> None:
        try:
            turn = self._api.call("GET", f"{self._path}/turns/{self._outcome.turn_id}")
        except JidoError:
            # The session is gone already; the numbers are not worth a failure.
            return
        self._outcome.usage = turn["usage"]


def _more_than(approve: str | None, tool: str) -> list[str]:
    """Return the options that would have let the agent use `tool`."""
    wider = ["--approve edits"] if approve != "edits" and tool in _EDITS else []
    return [*wider, "--approve all"]
