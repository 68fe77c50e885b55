"""An image from another time is refused before any session lives on it, and rebuilt by `make`."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.sandboxes.docker import DockerRuntime
from orchestrator.sandboxes.runtime_errors import ImageOutdated, SandboxStartFailed
from orchestrator.sandboxes.select import select_runtime
from tests.support.docker import containers, docker
from tests.support.requirements import SANDBOX_IMAGE, require_docker
from tests.support.sandboxes import Sandboxes

pytestmark = pytest.mark.docker

REPOSITORY = Path(__file__).resolve().parents[3]
OLD_LABEL = "LABEL jido.image.sources=0"
NO_LABEL = "LABEL jido.image.sources="
NEWER_SERVER = r"""
USER root
RUN sed -i 's/^WIRE_VERSION = .*/WIRE_VERSION = 999/' /opt/jido/toolserver/server.py \
    && python3 -I -m compileall -q -f --invalidation-mode unchecked-hash /opt/jido/toolserver
USER 65534:65534
"""

MakeImage = Callable[..., str]


@pytest.fixture
def make_image() -> Iterator[MakeImage]:
    """Builds variations of the sandbox image; they are removed afterwards."""
    require_docker()
    names: list[str] = []

    def make(change: str, name: str | None = None) -> str:
        names.append(name or f"jido-sandbox:test-{uuid.uuid4().hex[:12]}")
        subprocess.run(
            ["docker", "build", "--quiet", "--tag", names[-1], "-"],
            input=f"FROM {SANDBOX_IMAGE}\n{change}\n",
            text=True,
            capture_output=True,
            check=True,
        )
        return names[-1]

    yield make
    docker("rmi", "--force", *names, check=False)


def sources_of(image: str) -> str:
    label = '{{index .Config.Labels "jido.image.sources"}}'
    return docker("image", "inspect", "--format", label, image).strip()


@pytest.mark.parametrize("label", [OLD_LABEL, NO_LABEL])
async def test_an_outdated_image_is_refused_by_name(
    make_image: MakeImage, tmp_path: Path, label: str
) -> None:
    image = make_image(label)
    for choice in ("auto", "docker"):
        with pytest.raises(ImageOutdated, match="make image") as refusal:
            await select_runtime(
                choice, instance_id=str(uuid.uuid4()), image=image, state_directory=tmp_path
            )
        assert image in refusal.value.detail
    fresh = DockerRuntime(str(uuid.uuid4()), make_image(""))
    await fresh.check()
    await fresh.close()


async def test_a_newer_tool_server_fails_the_start_and_no_turn(make_image: MakeImage) -> None:
    sandboxes = Sandboxes("docker")
    try:
        image = make_image(NEWER_SERVER)
        with pytest.raises(SandboxStartFailed, match=r"version 999 .* Rebuild"):
            await sandboxes.start(change=lambda spec: replace(spec, image=image))
        assert not containers(f"jido.instance={sandboxes.instance_id}")
    finally:
        await sandboxes.close()


def sandbox_image(directory: Path, **environment: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JIDO_")}
    done = subprocess.run(
        [directory / "scripts" / "sandbox-image", "--if-engine"],
        env={**kept, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return done.stdout + done.stderr


def test_an_outdated_image_is_rebuilt_once(make_image: MakeImage, tmp_path: Path) -> None:
    version = f"0.0.0-test-{uuid.uuid4().hex[:12]}"
    for name in ("scripts", "sandbox_image"):
        shutil.copytree(
            REPOSITORY / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    (tmp_path / "pyproject.toml").write_text(f'version = "{version}"\n')
    image = make_image(OLD_LABEL, f"jido-sandbox:{version}")
    assert "Building the sandbox image" in sandbox_image(tmp_path)
    assert sources_of(image) == sources_of(SANDBOX_IMAGE) != "0"
    assert sandbox_image(tmp_path) == ""


def test_an_image_of_ones_own_is_not_replaced(make_image: MakeImage) -> None:
    image = make_image(OLD_LABEL)
    assert "another version" in sandbox_image(REPOSITORY, JIDO_SANDBOX_IMAGE=image)
    assert sources_of(image) == "0"
