"""Every test starts from a clean environment and a home of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Examples are judged by what they show, never by how fast a busy machine makes them.
# The gate gives the same answer for the same code; EXPLORE=1 looks for examples never seen.
settings.register_profile(
    "jido",
    deadline=None,
    derandomize="EXPLORE" not in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("jido")

pytest_plugins = ("tests.support.valkey",)

_PROVIDER_PREFIXES = ("ANTHROPIC_", "OPENAI_", "GEMINI_", "GOOGLE_", "OLLAMA_")


@pytest.fixture(autouse=True)
def clean_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Remove our variables and every provider's key, and give the test a HOME of its own."""
    for name in list(os.environ):
        if name.startswith(("JIDO_", *_PROVIDER_PREFIXES)):
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    return home
