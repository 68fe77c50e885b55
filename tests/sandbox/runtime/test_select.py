"""What `auto` chooses, and that it never chooses less than was possible."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from orchestrator.sandboxes.runtime_errors import (
    ImageMissing,
    OciRuntimeMissing,
    RuntimeUnavailable,
)
from orchestrator.sandboxes.select import Choice, select_runtime
from tests.support.requirements import SANDBOX_IMAGE, require_bubblewrap, require_docker

NO_ENGINE = "unix:///nowhere/engine.sock"


async def choose(
    choice: Choice,
    directory: Path,
    *,
    image: str = SANDBOX_IMAGE,
    oci_runtime: str | None = None,
    engine: str | None = None,
) -> str:
    runtime = await select_runtime(
        choice,
        instance_id=str(uuid.uuid4()),
        image=image,
        state_directory=directory,
        oci_runtime=oci_runtime,
        engine_address=engine,
    )
    await runtime.close()
    return runtime.name


@pytest.mark.docker
async def test_an_engine_comes_first(tmp_path: Path) -> None:
    require_docker()
    assert await choose("auto", tmp_path) == "docker"
    assert await choose("docker", tmp_path) == "docker"


@pytest.mark.bubblewrap
async def test_bubblewrap_comes_without_an_engine(tmp_path: Path) -> None:
    require_bubblewrap()
    assert await choose("auto", tmp_path, engine=NO_ENGINE) == "bubblewrap"
    assert await choose("bubblewrap", tmp_path) == "bubblewrap"


async def test_docker_alone_is_refused_without_an_engine(tmp_path: Path) -> None:
    with pytest.raises(RuntimeUnavailable, match="No container engine"):
        await choose("docker", tmp_path, engine=NO_ENGINE)
    with pytest.raises(RuntimeUnavailable, match="not supported"):
        await choose("docker", tmp_path, engine="ssh://host")


@pytest.mark.docker
async def test_an_engine_without_the_image_is_no_reason_for_less(tmp_path: Path) -> None:
    require_docker()
    with pytest.raises(ImageMissing):
        await choose("auto", tmp_path, image="jido-sandbox:no-such")


async def test_a_stronger_runtime_that_was_asked_for_is_never_dropped(tmp_path: Path) -> None:
    with pytest.raises(OciRuntimeMissing):
        await choose("auto", tmp_path, oci_runtime="no-such", engine=NO_ENGINE)
    with pytest.raises(OciRuntimeMissing):
        await choose("bubblewrap", tmp_path, oci_runtime="runsc")
