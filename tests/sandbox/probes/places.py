"""Runs a module's probes: once in a sandbox of each place, once in each control they name."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from orchestrator.sandboxes.mounts import prepare_as_owner
from orchestrator.sandboxes.runtime import SandboxSpec
from orchestrator.sandboxes.seccomp import ARCHITECTURES
from tests.sandbox.probes import controls, inside
from tests.sandbox.probes.probe import Answer, Probe, assert_control, assert_denial
from tests.sandbox.probes.surroundings import Surroundings
from tests.support.requirements import require, require_bubblewrap, require_docker
from tests.support.sandboxes import Sandboxes

RUN_TIMEOUT_S = 150.0
"""Seconds for all probes of a module at one place."""

_BESIDES = {
    "x86_64": {"renameat2": 316, "personality": 135},
    "aarch64": {"renameat2": 276, "personality": 92},
}


def numbers() -> dict[str, int]:
    """Return the system call numbers that probes may name."""
    known = ARCHITECTURES[platform.machine()]
    own = {"clone": known.clone, "clone3": known.clone3, "socket": known.socket}
    own |= {"ioctl": known.ioctl, "getsockopt": known.socket_options[0]}
    return known.refused | own | _BESIDES[platform.machine()]


class Places:
    """The answers of one module, each place and each control asked once."""

    def __init__(self, probes: Iterable[Probe]) -> None:
        self._probes = tuple(probes)
        self._answers: dict[str, dict[str, Answer]] = {}

    def seen(self, place: str, probe: Probe) -> Answer:
        """What a probe met in a sandbox."""
        if place not in self._answers:
            self._answers[place] = asyncio.run(self._in_sandbox(place))
        return self._answers[place][probe.name]

    def control(self, probe: Probe) -> Answer:
        """What the same program met where the property is absent."""
        name = probe.control
        if name not in self._answers:
            self._answers[name] = asyncio.run(self._in_control(name))
        return self._answers[name][probe.name]

    def assert_denied(self, place: str, probe: Probe) -> None:
        """Require the denial first, so that it is seen also where no control can be had."""
        assert_denial(probe, place, self.seen(place, probe))
        assert_control(probe, self.control(probe))

    async def _in_sandbox(self, place: str) -> dict[str, Answer]:
        kind, _, owner = place.partition("-")
        require_docker() if kind == "docker" else require_bubblewrap()
        sandboxes = Sandboxes(kind)
        if owner == "root":
            require(os.getuid() == 0, "Only root can own a project of root.")
            sandboxes.owner = (0, 0)
        surroundings = Surroundings(sandboxes.base, sandboxes.owner)
        try:
            project = _project(sandboxes)
            token, words = _ask(project, self._probes, surroundings)
            sandboxes.give(project)
            _plant_privileged(project)
            sandbox = await sandboxes.start(project)
            done = await sandbox.workspace.run(["python3", "-I", *words], timeout=RUN_TIMEOUT_S)
            assert done.exit_code == 0, done.stderr
            return _answers(done.stdout, token)
        finally:
            surroundings.close()
            await sandboxes.close()

    async def _in_control(self, name: str) -> dict[str, Answer]:
        if name != controls.HOST:
            require_docker()
        sandboxes = Sandboxes("bubblewrap")
        surroundings = Surroundings(sandboxes.base, sandboxes.owner)
        try:
            project = _project(sandboxes)
            asked = [probe for probe in self._probes if probe.control == name]
            token, words = _ask(
                project, asked, surroundings, apart=name in ("privileged", "protected")
            )
            sandboxes.give(project)
            _plant_privileged(project)
            spec: SandboxSpec = sandboxes.spec(project)
            layout = await prepare_as_owner(spec)
            said = await asyncio.to_thread(controls.run, spec, layout, name, words)
            return _answers(said, token)
        finally:
            surroundings.close()
            await sandboxes.close()


def _project(sandboxes: Sandboxes) -> Path:
    """Make a project with files that probes use."""
    project = sandboxes.project()
    (project / "own").write_text("content")
    (project / "to-secret").symlink_to(sandboxes.base / "secret")
    return project


def _plant_privileged(project: Path) -> None:
    """Put programs into the project that would raise whoever runs them, as root can."""
    if os.getuid() != 0:
        return
    planted = project / "setuid-id"
    shutil.copy("/usr/bin/id", planted)
    planted.chmod(0o4755)
    capable = project / "capable-grep"
    shutil.copy("/usr/bin/grep", capable)
    capable.chmod(0o755)
    # VFS_CAP_REVISION_2 with the effective bit, permitted: CAP_NET_RAW.
    value = bytes.fromhex("0100000200200000000000000000000000000000")
    os.setxattr(capable, "security.capability", value)


def _ask(
    project: Path, probes: Iterable[Probe], surroundings: Surroundings, *, apart: bool = False
) -> tuple[str, list[str]]:
    """Put the probes into the project; return the token and the words that run them.

    `apart` gives each program its own view of mounts, so that none undoes the next one's.
    """
    token = secrets.token_hex(8)
    values: dict[str, Any] = surroundings.values | {"PROJECT": str(project), "APART": apart}
    asked = [(probe.name, probe.program) for probe in probes]
    place = project / ".probes"
    place.mkdir()
    runner, table = place / "inside.py", place / "probes.json"
    shutil.copy(inside.__file__, runner)
    table.write_text(json.dumps({"numbers": numbers(), "values": values, "probes": asked}))
    return token, [str(runner), str(table), token]


def _answers(text: str, token: str) -> dict[str, Answer]:
    answers: dict[str, Answer] = {}
    for line in text.splitlines():
        said = json.loads(line)
        assert said["token"] == token
        answers[said["name"]] = Answer(said["outcome"], said["detail"])
    return answers
