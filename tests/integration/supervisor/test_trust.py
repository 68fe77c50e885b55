"""What a project's own file may widen, from `jido trust` to the session's sandbox."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from orchestrator.cli.project_content import read_content
from orchestrator.cli.trusted import accept
from orchestrator.domain.errors import InvalidSettings
from orchestrator.domain.session import Session
from orchestrator.services.bundle import Services, build_services
from orchestrator.store.intents import SandboxIntent
from tests.integration.supervisor.stage import Stage
from tests.support.requirements import require
from tests.support.sandboxes import ordinary_owner

WIDER = {
    "sandbox": {"memory": "333m", "cpus": 1.5, "pids": 99, "disk": "444m"},
    "approval": "edits",
}


@pytest_asyncio.fixture
async def services(quiet_stage: Stage) -> Services:
    quiet_stage.changes["model"] = "offline:demo"
    await quiet_stage.start()
    await quiet_stage.announced()
    return build_services(quiet_stage.store, quiet_stage.settings)


def project_saying(stage: Stage, values: dict[str, Any]) -> Path:
    project = stage.project("widening")
    if os.getuid() == 0:
        # A project of root has a notice of its own.
        os.chown(project, *ordinary_owner())
    (project / ".jido_code").mkdir()
    (project / ".jido_code/settings.json").write_text(json.dumps(values))
    return project


def trust(stage: Stage, project: Path) -> None:
    accept(stage.settings, str(project), read_content(str(project)))


async def intent_of(stage: Stage, session: Session) -> SandboxIntent:
    return next(i for i in await stage.store.sessions.intents() if i.session_id == session.id)


async def notices(stage: Stage, session: Session) -> list[str]:
    return [e.data["code"] for e in await stage.events(session.id) if e.type == "notice"]


async def test_a_trusted_file_widens(quiet_stage: Stage, services: Services) -> None:
    project = project_saying(quiet_stage, WIDER)
    trust(quiet_stage, project)
    session = await services.sessions.create(str(project), None, None)
    intent = await intent_of(quiet_stage, session)
    assert (intent.memory_bytes, intent.cpus, intent.pids) == (333 * 1024**2, 1.5, 99)
    assert intent.disk_bytes == 444 * 1024**2
    assert intent.network == "none"
    assert await quiet_stage.store.sessions.approval(session.id) == "edits"
    assert await notices(quiet_stage, session) == []


async def test_an_untrusted_file_widens_nothing_and_says_so(
    quiet_stage: Stage, services: Services
) -> None:
    project = project_saying(quiet_stage, WIDER)
    session = await services.sessions.create(str(project), None, None)
    intent = await intent_of(quiet_stage, session)
    assert (intent.memory_bytes, intent.cpus, intent.pids) == (2 * 1024**3, 2.0, 512)
    assert (intent.disk_bytes, intent.disk_warning_bytes) == (0, 5 * 1024**3)
    assert await quiet_stage.store.sessions.approval(session.id) is None
    (event,) = [e for e in await quiet_stage.events(session.id) if e.type == "notice"]
    assert (event.data["level"], event.data["code"]) == ("warning", "project_settings_not_trusted")
    assert f"jido trust {project}" in event.data["text"]
    assert "approval, sandbox" in event.data["text"]


async def test_a_changed_file_is_trusted_no_more(quiet_stage: Stage, services: Services) -> None:
    project = project_saying(quiet_stage, WIDER)
    trust(quiet_stage, project)
    (project / ".jido_code/settings.json").write_text(json.dumps({**WIDER, "approval": "all"}))
    session = await services.sessions.create(str(project), None, None)
    assert (await intent_of(quiet_stage, session)).pids == 512
    assert await notices(quiet_stage, session) == ["project_settings_not_trusted"]


async def test_trust_in_one_project_is_not_trust_in_its_copy(
    quiet_stage: Stage, services: Services
) -> None:
    trusted = project_saying(quiet_stage, WIDER)
    trust(quiet_stage, trusted)
    copy = trusted.rename(trusted.with_name("copy"))
    session = await services.sessions.create(str(copy), None, None)
    assert await notices(quiet_stage, session) == ["project_settings_not_trusted"]


async def test_the_environment_wins(
    quiet_stage: Stage, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = project_saying(quiet_stage, WIDER)
    trust(quiet_stage, project)
    monkeypatch.setenv("JIDO_SANDBOX_PIDS", "512")
    monkeypatch.setenv("JIDO_APPROVAL", "all")
    session = await services.sessions.create(str(project), None, None)
    intent = await intent_of(quiet_stage, session)
    assert (intent.memory_bytes, intent.pids) == (333 * 1024**2, 512)
    assert await quiet_stage.store.sessions.approval(session.id) is None


@pytest.mark.parametrize(
    ("sandbox", "named"),
    [
        ({"memory": "65g"}, "sandbox.memory"),
        ({"memory": "much"}, "sandbox.memory"),
        ({"tmpfs": "1t"}, "sandbox.tmpfs"),
        ({"disk": "99999g"}, "sandbox.disk"),
        ({"disk_warning": "soon"}, "sandbox.disk_warning"),
        ({"cpus": 0.0}, "sandbox.cpus"),
        ({"cpus": 1000.0}, "sandbox.cpus"),
        ({"pids": 100_000}, "sandbox.pids"),
        ({"image": "--privileged"}, "sandbox.image"),
        ({"image": "a b"}, "sandbox.image"),
    ],
)
async def test_even_trust_has_bounds(
    quiet_stage: Stage, services: Services, sandbox: dict[str, Any], named: str
) -> None:
    project = project_saying(quiet_stage, {"sandbox": sandbox})
    trust(quiet_stage, project)
    with pytest.raises(InvalidSettings, match=named):
        await services.sessions.create(str(project), None, None)
    assert await services.sessions.list() == []


async def test_a_broken_list_of_trust_is_named(quiet_stage: Stage, services: Services) -> None:
    project = project_saying(quiet_stage, WIDER)
    (quiet_stage.settings.home / "trusted.json").write_text("{")
    with pytest.raises(InvalidSettings, match=r"trusted\.json is not valid JSON"):
        await services.sessions.create(str(project), None, None)


async def test_a_network_that_the_runtime_lacks_fails_the_session(stage: Stage) -> None:
    project = project_saying(stage, {"sandbox": {"network": "allowlist"}})
    stage.changes["model"] = "offline:demo"
    trust(stage, project)
    await stage.start()
    await stage.announced()
    services = build_services(stage.store, stage.settings)
    session = await services.sessions.create(str(project), None, None)
    failed = await stage.reaches(session.id, "failed")
    assert "JIDO_SANDBOX_NETWORK=none" in (failed.error or "")


async def test_a_project_of_root_says_so_once(quiet_stage: Stage, services: Services) -> None:
    require(os.getuid() == 0, "Only root can own a project of root.")
    session = await services.sessions.create(str(quiet_stage.project("roots")), None, None)
    assert await notices(quiet_stage, session) == ["project_of_root"]
    (event,) = [e for e in await quiet_stage.events(session.id) if e.type == "notice"]
    assert event.data["level"] == "info"
    assert "user 0" in event.data["text"]
    ordinary = quiet_stage.project("ordinary")
    os.chown(ordinary, *ordinary_owner())
    other = await services.sessions.create(str(ordinary), None, None)
    assert await notices(quiet_stage, other) == []
