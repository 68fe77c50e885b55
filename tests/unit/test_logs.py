"""Logs: one JSON object a line, and no secret in any of them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from orchestrator.logs import REDACTED, configure_logging


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def _lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_our_records_and_a_librarys_take_the_same_way(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", environment={})
    structlog.get_logger("ours").info("session.ready", session_id="s")
    logging.getLogger("theirs").warning("took %d ms", 5)
    ours, theirs = _lines(capsys)
    assert ours["event"] == "session.ready"
    assert ours["session_id"] == "s"
    assert (ours["level"], ours["logger"]) == ("info", "ours")
    assert str(ours["time"]).endswith("Z")
    assert (theirs["event"], theirs["level"], theirs["logger"]) == (
        "took 5 ms",
        "warning",
        "theirs",
    )


def test_what_is_less_severe_than_the_level_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("warning", environment={})
    structlog.get_logger("ours").info("quiet")
    logging.getLogger("theirs").info("quiet")
    structlog.get_logger("ours").error("loud")
    assert [line["event"] for line in _lines(capsys)] == ["loud"]


def test_secrets_never_appear(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(
        "debug", secrets=("the-bearer-token",), environment={"SOME_API_KEY": "key-of-provider"}
    )
    log = structlog.get_logger("ours")
    log.info(
        "call the-bearer-token",
        token="abc",
        headers={"Authorization": "Bearer zzzzzzzzzz", "Accept": "json"},
        nested=[{"openai_api_key": "x", "text": "key-of-provider inside"}],
        url="redis://user:pass@host/0",
        note="sk-abcdefghijklmnopqrstuvwx",
    )
    logging.getLogger("theirs").info("GET / Bearer abcdefgh12345")
    try:
        raise ValueError("key-of-provider")
    except ValueError:
        log.exception("failed")
    text = capsys.readouterr().err
    for secret in ("the-bearer-token", "key-of-provider", "zzzzzzzz", "pass@", "sk-abc", "12345"):
        assert secret not in text
    first = json.loads(text.splitlines()[0])
    assert first["token"] == REDACTED
    assert first["headers"] == {"Authorization": REDACTED, "Accept": "json"}
    assert first["url"] == f"redis://{REDACTED}@host/0"


def test_odd_values_are_written_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", environment={})
    deep: list[object] = []
    for _ in range(50):
        deep = [deep]
    structlog.get_logger("ours").info("odd", value=object(), deep=deep, numbers=(1, 2.5, None))
    (line,) = _lines(capsys)
    assert line["numbers"] == [1, 2.5, None]
    assert "object" in str(line["value"])
