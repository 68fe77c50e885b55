"""Which language a directory's names speak for."""

from __future__ import annotations

import random

import pytest

from orchestrator.domain.language import MARKERS, detect_language


@pytest.mark.parametrize(("marker", "language"), MARKERS)
def test_each_marker_speaks_for_its_language(marker: str, language: str) -> None:
    assert detect_language(["README.md", marker]) == language


@pytest.mark.parametrize(
    ("names", "language"),
    [
        (["package.json", "tsconfig.json"], "typescript"),
        (["package.json", "Cargo.toml"], "rust"),
        (["package.json", "mix.exs"], "elixir"),
        (["package.json", "pyproject.toml"], "python"),
        (["package.json", "composer.json"], "php"),
        (["requirements.txt", "go.mod"], "go"),
        (["build.gradle", "build.gradle.kts"], "kotlin"),
        (["App.csproj"], "c#"),
        (["thing.cabal"], "haskell"),
        (["Makefile", "main.c"], "c"),
        (["Makefile", "main.c", "part.cpp"], "c++"),
    ],
)
def test_the_more_specific_marker_wins(names: list[str], language: str) -> None:
    assert detect_language(names) == language


@pytest.mark.parametrize(
    "names", [[], ["README.md"], ["main.c"], ["Makefile"], ["mix.exs.bak"], ["PACKAGE.JSON"]]
)
def test_without_a_marker_there_is_no_language(names: list[str]) -> None:
    assert detect_language(names) is None


def test_the_order_of_names_does_not_matter() -> None:
    names = [marker for marker, _ in MARKERS]
    random.Random(1).shuffle(names)
    assert detect_language(names) == MARKERS[0][1]
