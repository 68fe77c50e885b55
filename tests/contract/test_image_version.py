"""One digest binds the tool server, its image and this program.

An image carries a copy of the tool server, so code and image can come from different times.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from orchestrator.sandboxes.image_sources import (
    SOURCES_LABEL,
    digest_of,
    image_directory,
    sources_digest,
)
from orchestrator.sandboxes.replies import WIRE_VERSION
from sandbox_image.toolserver import server


def test_image_and_program_speak_one_wire() -> None:
    assert server.WIRE_VERSION == WIRE_VERSION


def test_the_recipe_carries_the_digest_of_its_sources() -> None:
    label = f"LABEL {SOURCES_LABEL}={sources_digest()}\n"
    recipe = (image_directory() / "Dockerfile").read_text()
    assert label in recipe, "Run scripts/stamp-image after a change in sandbox_image/."


@pytest.mark.parametrize("name", ["Dockerfile", "lua/tools.lua", "toolserver/server.py"])
def test_any_change_changes_the_digest_and_a_stamp_does_not(tmp_path: Path, name: str) -> None:
    copy = tmp_path / "image"
    shutil.copytree(image_directory(), copy)
    recipe = copy / "Dockerfile"
    recipe.write_text(recipe.read_text().replace(f"{SOURCES_LABEL}=", f"{SOURCES_LABEL}=x"))
    assert digest_of(copy) == sources_digest()
    with (copy / name).open("a") as file:
        file.write("\n")
    assert digest_of(copy) != sources_digest()
