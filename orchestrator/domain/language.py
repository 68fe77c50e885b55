"""The main language of a project, by the names in its top directory.

Owns which file names speak for which language, and which of them speaks louder.
Refuses to guess: without a marker there is no language. Refuses to open files.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

MARKERS: Final[tuple[tuple[str, str], ...]] = (
    ("mix.exs", "elixir"),
    ("rebar.config", "erlang"),
    ("gleam.toml", "gleam"),
    ("Cargo.toml", "rust"),
    ("go.mod", "go"),
    ("pubspec.yaml", "dart"),
    ("Package.swift", "swift"),
    ("build.zig", "zig"),
    ("stack.yaml", "haskell"),
    ("cabal.project", "haskell"),
    ("dune-project", "ocaml"),
    ("build.sbt", "scala"),
    ("build.gradle.kts", "kotlin"),
    ("pom.xml", "java"),
    ("build.gradle", "java"),
    ("composer.json", "php"),
    ("Gemfile", "ruby"),
    ("tsconfig.json", "typescript"),
    ("tsconfig.base.json", "typescript"),
    ("pyproject.toml", "python"),
    ("setup.py", "python"),
    ("setup.cfg", "python"),
    ("requirements.txt", "python"),
    ("Pipfile", "python"),
    ("CMakeLists.txt", "c++"),
    ("deno.json", "typescript"),
    ("package.json", "javascript"),
)
"""Exact names, most specific first: what projects carry beside their own language comes last."""

SUFFIXES: Final[tuple[tuple[str, str], ...]] = (
    (".sln", "c#"),
    (".csproj", "c#"),
    (".fsproj", "f#"),
    (".cabal", "haskell"),
    (".gemspec", "ruby"),
    (".rockspec", "lua"),
    (".xcodeproj", "swift"),
)
"""Ends of names, asked when no exact name was found."""

MAKEFILE_SOURCES: Final[tuple[tuple[tuple[str, ...], str], ...]] = (
    ((".cc", ".cpp", ".cxx"), "c++"),
    ((".c",), "c"),
)
"""What a makefile builds, by the sources beside it; asked last."""

_MAKEFILES: Final = frozenset({"Makefile", "makefile", "GNUmakefile"})


def detect_language(names: Iterable[str]) -> str | None:
    """Return the language that the names of a top directory speak for; None without a marker."""
    present = frozenset(names)
    for marker, language in MARKERS:
        if marker in present:
            return language
    for suffix, language in SUFFIXES:
        if any(name.endswith(suffix) for name in present):
            return language
    if present & _MAKEFILES:
        for suffixes, language in MAKEFILE_SOURCES:
            if any(name.endswith(suffixes) for name in present):
                return language
    return None
