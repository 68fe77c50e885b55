"""A machine that cannot hold sandboxes: said plainly, and noticed when it can again."""

from __future__ import annotations

import pytest

from orchestrator.sandboxes.runtime_errors import RuntimeUnavailable
from orchestrator.supervisor.instance import SupervisorRunning, own_instance
from tests.integration.supervisor.stage import Stage
from tests.support.requirements import require_docker


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Look for the engine where none listens."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/engine.sock")
    return monkeypatch


@pytest.mark.usefixtures("no_engine")
async def test_the_supervisor_stays_up_and_says_why_nothing_starts(quiet_stage: Stage) -> None:
    await quiet_stage.start()
    announced = await quiet_stage.announced()
    assert announced["runtime"] is None
    assert announced["error_code"] == "runtime_unavailable"
    assert "make engine" in announced["error"]
    with pytest.raises(RuntimeUnavailable, match="make engine"):
        await quiet_stage.inspect(quiet_stage.project("one"))


@pytest.mark.usefixtures("no_engine")
async def test_a_session_that_cannot_start_fails_and_can_be_closed(quiet_stage: Stage) -> None:
    await quiet_stage.start()
    session = await quiet_stage.claim(quiet_stage.project("one"))
    failed = await quiet_stage.reaches(session.id, "failed")
    assert "make engine" in (failed.error or "")
    await quiet_stage.close(session.id)
    events = await quiet_stage.types(session.id)
    assert events == ["session.created", "session.failed", "session.closed"]


@pytest.mark.docker
async def test_an_engine_that_comes_later_is_found(
    quiet_stage: Stage, no_engine: pytest.MonkeyPatch
) -> None:
    require_docker()
    await quiet_stage.start()
    assert (await quiet_stage.announced())["error"]
    no_engine.delenv("DOCKER_HOST")

    async def found() -> bool:
        return (await quiet_stage.announced())["error"] is None

    await quiet_stage.until(found, "engine found")
    assert (await quiet_stage.announced())["runtime"] == "docker"
    assert (await quiet_stage.inspect(quiet_stage.project("one")))["real_path"]


async def test_kubernetes_is_refused_as_long_as_there_is_none(quiet_stage: Stage) -> None:
    quiet_stage.runtime = "kubernetes"
    await quiet_stage.start()
    assert "Kubernetes" in (await quiet_stage.announced())["error"]


async def test_a_second_supervisor_is_refused(
    quiet_stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/engine.sock")
    await quiet_stage.start()
    await quiet_stage.announced()
    with pytest.raises(SupervisorRunning), own_instance(quiet_stage.settings.home, wait_s=0):
        pass
    await quiet_stage.stop()
    assert await quiet_stage.store.presence.present("supervisor") is None
