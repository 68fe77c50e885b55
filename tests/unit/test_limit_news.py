"""When a session is told of a limit, and what a sandbox may claim of it."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.domain.sizes import size_words
from orchestrator.sandboxes.errors import ChannelProtocolError
from orchestrator.store.intents import SandboxIntent
from orchestrator.supervisor.limit_counts import (
    CPU_TOLD_EVERY_S,
    TOLD_EVERY_S,
    Counts,
    Disk,
    DiskNews,
    LimitNews,
)
from orchestrator.supervisor.limit_events import disk_event, limit_event

INTENT = SandboxIntent(
    session_id="s",
    project_path="/p",
    owner_uid=1,
    owner_gid=1,
    image="i",
    memory_bytes=2 * 1024**3,
    cpus=1.0,
    pids=512,
    disk_bytes=3 * 1024**3,
)


def answer(**changes: Any) -> dict[str, Any]:
    """What a tool server answers."""
    disk = {"state": "ok", "added": 0, "baseline": 0, "free": 1, "low": False}
    counts = {"memory_kills": 0, "pids_refused": 0, "files_refused": 0, "cpu_throttled": 0}
    return {"started": 1, "version": 1, **counts, "told": dict(counts), "disk": disk, **changes}


def counts(**changes: Any) -> Counts:
    """Read such an answer."""
    return Counts.read(answer(**changes))


def test_a_kind_is_told_at_once_and_then_once_a_minute_with_its_number() -> None:
    news = LimitNews()
    news.take(counts())
    assert news.due(0.0) == []
    news.take(counts(memory_kills=1))
    assert news.due(0.0) == [("memory", 1)]
    for number in range(2, 50):
        news.take(counts(memory_kills=number, pids_refused=7))
    assert news.due(1.0) == [("pids", 7)]
    assert news.wait_s(1.0, 300.0) == TOLD_EVERY_S - 1.0
    assert news.due(TOLD_EVERY_S) == [("memory", 48)]
    assert news.wait_s(TOLD_EVERY_S, 300.0) == 300.0


def test_a_fresh_sandbox_counts_from_nothing_and_a_listener_continues() -> None:
    news = LimitNews()
    news.take(counts(memory_kills=3, told={**answer()["told"], "memory_kills": 2}))
    assert news.told()["memory_kills_told"] == 2
    assert news.due(0.0) == [("memory", 1)]
    assert news.told() == {
        "memory_kills_told": 3,
        "pids_refused_told": 0,
        "files_refused_told": 0,
        "cpu_throttled_told": 0,
    }
    news.take(counts(started=2, memory_kills=1))
    assert news.due(TOLD_EVERY_S) == [("memory", 1)]


def test_short_processors_are_told_rarely_and_never_late() -> None:
    news = LimitNews()
    news.take(counts(cpu_throttled=1))
    assert news.due(0.0) == [("cpu", 1)]
    news.take(counts(cpu_throttled=3))
    assert news.due(CPU_TOLD_EVERY_S - 1.0) == []
    # Nothing waits for the ten minutes to be over, and later listeners need not tell it either.
    assert news.wait_s(CPU_TOLD_EVERY_S - 1.0, 300.0) == 300.0
    assert news.told()["cpu_throttled_told"] == 3
    assert news.due(CPU_TOLD_EVERY_S) == []
    news.take(counts(cpu_throttled=4))
    assert news.due(CPU_TOLD_EVERY_S) == [("cpu", 1)]


def test_a_tool_server_of_an_earlier_version_counts_less_and_is_told_no_more() -> None:
    older = answer(files_refused=1)
    del older["cpu_throttled"], older["told"]["cpu_throttled"]
    news = LimitNews()
    news.take(Counts.read(older))
    assert news.due(0.0) == [("files", 1)]
    # It would refuse a name that it does not know.
    assert set(news.told()) == {"memory_kills_told", "pids_refused_told", "files_refused_told"}
    # A restart brings the present one.
    news.take(counts(started=2, cpu_throttled=1))
    assert news.due(1.0) == [("cpu", 1)]
    assert news.told()["cpu_throttled_told"] == 1
    del older["pids_refused"]
    with pytest.raises(ChannelProtocolError):
        Counts.read(older)


def test_states_of_the_disk_are_told_once_each() -> None:
    news, full = DiskNews(), Disk(state="full", baseline=0)
    assert news.due(Disk(), 0.0) == []
    assert news.due(Disk(state="warning", baseline=0), 0.0) == ["warning"]
    assert news.due(full, 1.0) == ["full"]
    assert news.due(full, 2.0) == []
    # A sandbox that was restarted has measured nothing yet: that is no end of the state.
    assert news.due(Disk(state="ok", baseline=None), 2.5) == []
    assert news.due(Disk(baseline=0), 3.0) == ["ok"]
    # Back and forth within a minute is held back, and told only if it lasts.
    assert news.due(full, 4.0) == []
    assert news.waits(full)
    assert news.due(full, 1.0 + TOLD_EVERY_S) == ["full"]
    assert news.due(Disk(state="full", low=True, baseline=0), 100.0) == ["low"]
    assert news.due(Disk(state="full", low=True, baseline=0), 101.0) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"memory_kills": "many"},
        {"memory_kills": True},
        {"cpu_throttled": None},
        {"told": {"memory_kills": 0, "pids_refused": 0, "files_refused": 0}},
        {"version": None},
        {"told": None},
        {"told": {}},
        {"disk": None},
        {"disk": {**answer()["disk"], "state": "odd"}},
        {"disk": {**answer()["disk"], "low": 1}},
        {"disk": {**answer()["disk"], "added": 1 << 70}},
    ],
)
def test_nonsense_of_a_sandbox_is_refused(changes: dict[str, Any]) -> None:
    assert Counts.read(answer()).hits["memory"] == 0
    with pytest.raises(ChannelProtocolError):
        Counts.read(answer(**changes))


def test_negative_claims_change_nothing() -> None:
    read = counts(memory_kills=-5, disk={**answer()["disk"], "added": -1, "free": -1})
    assert (read.disk.added, read.disk.free) == (0, 0)
    news = LimitNews()
    news.take(read)
    assert news.due(0.0) == []


def test_the_words_name_limit_and_setting() -> None:
    one, many = (limit_event("memory", count, INTENT) for count in (1, 5))
    assert one.data["detail"].startswith("A process was killed: ")
    assert many.data["detail"].startswith("5 processes were killed: ")
    assert "2 GiB" in many.data["detail"]
    assert limit_event("pids", 1, INTENT).data["code"] == "sandbox_pids_limit"
    assert "4096" in limit_event("files", 1, INTENT).data["text"]
    slow = limit_event("cpu", 1, INTENT).data
    assert (slow["code"], slow["level"]) == ("sandbox_cpu_limit", "info")
    assert "its limit of 1 processor for" in slow["text"]
    few = limit_event("cpu", 1, INTENT.model_copy(update={"cpus": 0.5}))
    assert "its limit of 0.5 processors for" in few.data["text"]
    full = disk_event("full", Disk(added=4 * 1024**3), INTENT)
    assert (full.data["code"], full.data["level"]) == ("sandbox_disk_full", "error")
    assert "4 GiB" in full.data["text"]
    assert "3 GiB" in full.data["text"]
    codes = {disk_event(each, Disk(), INTENT).data["code"] for each in ("warning", "low", "ok")}
    assert codes == {"sandbox_disk_warning", "sandbox_disk_low", "sandbox_disk_freed"}


def test_sizes_are_written_as_people_do() -> None:
    written = [size_words(each) for each in (0, 1023, 1024, 1536, 2 * 1024**3, 1024**5)]
    assert written == ["0 bytes", "1023 bytes", "1 KiB", "1.5 KiB", "2 GiB", "1024 TiB"]
