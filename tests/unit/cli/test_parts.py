"""The small parts of the commands: outcomes, progress, interrupts, strangers."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from orchestrator.cli import failures
from orchestrator.cli.changes import _entry
from orchestrator.cli.interrupts import Interrupted, Interrupts
from orchestrator.cli.outcome import Outcome, check_result_file, write_result
from orchestrator.cli.progress import clean, describe
from orchestrator.cli.server import _check_is_ours, is_trusted_listener
from orchestrator.domain.errors import SessionLimitReached, StoreUnavailable, Unauthorized
from orchestrator.local.http import Api, ServerUnreachable
from orchestrator.wire.problems import Problem


def test_a_result_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_result(path, Outcome(status="budget", text="é", error="no money"))
    value = json.loads(path.read_text())
    assert (value["status"], value["exit_code"], value["error"]) == ("budget", 4, "no money")
    with pytest.raises(failures.UsageError):
        write_result(tmp_path / "absent" / "result.json", Outcome())
    with pytest.raises(failures.UsageError):
        check_result_file(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["result.json"]


def test_hostile_words_cannot_command_the_terminal() -> None:
    assert "\x1b" not in clean("a\x1b[2Jb\nc", 50)
    assert clean("word " * 100, 20).endswith("…")
    assert len(clean("word " * 100, 20)) == 20


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        ("session.ready", {"session": {"runtime": "docker"}}, "sandbox ready (docker)"),
        ("tool.call", {"name": "run", "arguments": {"command": "ls"}}, "run ls"),
        ("tool.result", {"status": "error", "text": "no"}, "tool error: no"),
        ("sandbox.oom", {}, "sandbox oom"),
        ("sandbox.oom", {"sandbox": "alive", "detail": "One was killed."}, "One was killed."),
        ("notice", {"text": "slow"}, "slow"),
        ("turn.started", {}, "working"),
    ],
)
def test_progress_says_what_matters(kind: str, data: dict[str, object], words: str) -> None:
    assert describe({"type": kind, "data": data}) == words
    assert describe({"type": "text.delta", "data": {"text": "x"}}) is None


def test_signals_break_in_only_where_it_is_safe() -> None:
    interrupts = Interrupts()
    before = signal.getsignal(signal.SIGTERM)
    with interrupts.installed():
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Interrupted), interrupts.armed():
            pytest.fail("it was asked to stop before")
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before
    fresh = Interrupts()
    with fresh.installed(), pytest.raises(Interrupted), fresh.armed():
        signal.raise_signal(signal.SIGINT)


def test_each_branch_of_failures_has_its_code() -> None:
    assert failures.code_of(failures.UsageError("x")) == 2
    assert failures.code_of(StoreUnavailable("x")) == 6
    assert failures.code_of(SessionLimitReached("x")) == 1
    assert failures.code_of(Problem(422, "invalid_name", "t", "d")) == 2
    assert failures.code_of(Problem(404, "session_not_found", "t", "d")) == 1
    assert failures.code_of(Problem(401, "unauthorized", "t", "d")) == 6


def test_explanations_say_what_to_do() -> None:
    taken = Problem(409, "project_already_open", "t", "Open.", session_id="abc")
    assert failures.explain(taken) == "Open."
    assert "JIDO_TOKEN" in failures.explain(Unauthorized("Wrong."))
    assert "KeyError" in failures.unexpected(KeyError("x"))


def test_listings_of_files_keep_names_with_spaces() -> None:
    name, mark = _entry("2026-01-01 10:00:00.1 +0000 3 81a4 ./a b.txt")
    assert name == "a b.txt"
    assert "81a4" in mark


def test_our_own_listener_is_trusted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert is_trusted_listener(server.getsockname()[1])


class _Stranger(BaseHTTPRequestHandler):
    seen: list[str | None]

    def do_GET(self) -> None:
        self.seen.append(self.headers["Authorization"])
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


def test_a_stranger_never_sees_the_token() -> None:
    _Stranger.seen = []
    with HTTPServer(("127.0.0.1", 0), _Stranger) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            api = Api(f"http://127.0.0.1:{server.server_port}", "secret-token")
            with pytest.raises(ServerUnreachable, match="no healthy Jido"):
                _check_is_ours(api)
        finally:
            server.shutdown()
            thread.join()
    assert _Stranger.seen == [None]
