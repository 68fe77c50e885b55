"""Which settings count: environment, then the project's own keys, then the user's file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.errors import InvalidSettings, JidoError
from orchestrator.domain.models import SessionConfig
from orchestrator.services.project_settings import apply_project
from orchestrator.settings import Settings, load_settings


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of settings, and nothing of ours in the environment besides."""
    for name in ("JIDO_MODEL", "JIDO_TEMPERATURE", "JIDO_MAX_TOKENS", "JIDO_THEME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("JIDO_HOME", str(tmp_path))
    return tmp_path


def user_says(home: Path, **values: Any) -> Settings:
    (home / "settings.json").write_text(json.dumps(values))
    return load_settings()


def base_of(settings: Settings) -> SessionConfig:
    provider, _, model = (settings.model or "offline:demo").partition(":")
    return SessionConfig(
        provider=provider,
        model=model,
        temperature=settings.temperature,
        max_tokens=settings.max_tokens,
    )


def test_the_project_wins_over_the_users_file_key_by_key(home: Path) -> None:
    settings = user_says(home, model="openai:mine", temperature=0.2, max_tokens=100)
    project = {"provider": "ollama", "model": "theirs", "temperature": 0.0}
    config = apply_project(base_of(settings), "/p", project, {})
    assert (config.qualified, config.temperature, config.max_tokens) == ("ollama:theirs", 0.0, 100)


def test_the_environment_wins_over_both(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JIDO_TEMPERATURE", "0.9")
    monkeypatch.setenv("JIDO_MODEL", "openai:named")
    settings = user_says(home, model="openai:mine", temperature=0.2, max_tokens=100)
    environment = {"JIDO_TEMPERATURE": "0.9", "JIDO_MODEL": "openai:named"}
    project = {"provider": "ollama", "model": "theirs", "temperature": 0.0, "max_tokens": 5}
    config = apply_project(base_of(settings), "/p", project, environment)
    assert (config.qualified, config.temperature, config.max_tokens) == ("openai:named", 0.9, 5)


@pytest.mark.parametrize(
    ("values", "model"),
    [
        ({"provider": "ollama", "model": "qwen3:8b"}, "ollama:qwen3:8b"),
        ({"provider": "ollama", "model": "ollama:x"}, "ollama:x"),
        ({"provider": "offline"}, "offline:demo"),
        ({"provider": "ollama"}, "ollama:qwen3-coder"),
        ({"model": "openai:x"}, "openai:x"),
        ({}, None),
    ],
)
def test_the_users_model(home: Path, values: dict[str, str], model: str | None) -> None:
    assert user_says(home, **values).model == model


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"provider": "nobody"}, "anthropic, openai"),
        ({"provider": 7}, "provider"),
        ({"model": "no-provider"}, "provider:model"),
        ({"modle": "x"}, "“modle”"),
        ({"sandbox": {"mounts": []}}, "sandbox_mounts"),
        ({"temperature": 3}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
    ],
)
def test_what_cannot_be_meant_is_named(home: Path, values: dict[str, Any], named: str) -> None:
    with pytest.raises(JidoError, match=named) as raised:
        user_says(home, **values)
    assert "\n" not in raised.value.detail


def test_a_projects_faults_name_its_file() -> None:
    for value in ({"temperature": 9}, {"provider": "nobody"}, {"max_tokens": "many"}):
        with pytest.raises(InvalidSettings, match=r"/p/\.jido_code/settings\.json"):
            apply_project(SessionConfig(), "/p", value, {})
