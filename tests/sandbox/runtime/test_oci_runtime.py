"""JIDO_OCI_RUNTIME: used when the engine has it, refused in clear words when not."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from orchestrator.sandboxes.runtime_errors import OciRuntimeMissing
from tests.support.command_line import command_line
from tests.support.docker import inspect
from tests.support.requirements import require, require_docker
from tests.support.sandboxes import Sandboxes

pytestmark = pytest.mark.docker

MISSING = "no-such-runtime"
REGISTERED = ("runc", "io.containerd.runc.v2")
"""Names that an engine of today has without being told."""


@pytest.fixture
async def sandboxes() -> AsyncIterator[Sandboxes]:
    require_docker()
    opened = Sandboxes("docker")
    try:
        yield opened
    finally:
        await opened.close()


@pytest.mark.parametrize("name", REGISTERED)
async def test_a_registered_runtime_is_used(sandboxes: Sandboxes, name: str) -> None:
    try:
        sandbox = await sandboxes.start(change=lambda spec: replace(spec, oci_runtime=name))
    except OciRuntimeMissing as error:
        require(False, error.detail)
        raise
    spec = sandbox.spec
    facts = inspect(f"jido-{spec.instance_id[:8]}-{spec.session_id[:8]}")
    assert facts["HostConfig"]["Runtime"] == name
    assert (await sandbox.shell("echo alive")).stdout == "alive\n"


async def test_a_missing_runtime_is_refused_with_those_there_are(sandboxes: Sandboxes) -> None:
    with pytest.raises(OciRuntimeMissing, match=r"no-such-runtime.*runc.*JIDO_OCI_RUNTIME"):
        await sandboxes.start(change=lambda spec: replace(spec, oci_runtime=MISSING))
    assert not sandboxes.left_behind()


def test_commands_refuse_and_the_doctor_says_why() -> None:
    require_docker()
    with command_line() as jido:
        jido.environment |= {"JIDO_RUNTIME": "docker", "JIDO_OCI_RUNTIME": MISSING}
        doctor = jido.run("doctor", "--json")
        checks = {check["name"]: check for check in json.loads(doctor.stdout)["checks"]}
        assert doctor.returncode == 1
        assert checks["runtime"]["status"] == "fault"
        assert MISSING in checks["runtime"]["detail"]
        assert "JIDO_OCI_RUNTIME" in checks["runtime"]["remedy"]
        project = jido.project("wanted")
        done = jido.run("run", "--project", str(project), "--prompt", "hello")
        assert (done.returncode, done.stdout) == (6, b"")
        assert MISSING in done.stderr.decode()
        right = jido.run("doctor", "--json", JIDO_OCI_RUNTIME="runc")
        checks = {check["name"]: check for check in json.loads(right.stdout)["checks"]}
        assert checks["runtime"]["status"] == "ok"
        assert "runc" in checks["runtime"]["detail"]
