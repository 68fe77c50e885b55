"""What counts as a model, and as a number of its configuration."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from orchestrator.domain.errors import JidoError
from orchestrator.domain.models import ConfigChange, SessionConfig, merge_config
from orchestrator.services.model_choice import with_model


@pytest.mark.parametrize(
    ("change", "qualified"),
    [
        ({"model": "anthropic:claude-x"}, "anthropic:claude-x"),
        ({"model": "openai:ft:gpt:me"}, "openai:ft:gpt:me"),
        ({"provider": "ollama", "model": "qwen3:8b"}, "ollama:qwen3:8b"),
        ({"model": "sonnet"}, "anthropic:sonnet"),
        ({"provider": "offline"}, "offline:demo"),
        ({}, "anthropic:present"),
    ],
)
def test_models_that_can_be_chosen(change: dict[str, str], qualified: str) -> None:
    present = SessionConfig(provider="anthropic", model="present")
    assert merge_config(present, ConfigChange(**change)).qualified == qualified


@pytest.mark.parametrize(
    ("model", "code"),
    [
        ("antropic:claude-x", "unknown_provider"),
        ("qwen3:8b", "unknown_provider"),
        ("anthropic:", "unknown_model_format"),
        ("two words", "unknown_model_format"),
        ("offline:other", "unknown_model_format"),
    ],
)
@pytest.mark.parametrize("provider", ["offline", "anthropic", "ollama"])
def test_models_that_cannot(provider: str, model: str, code: str) -> None:
    present = SessionConfig(provider=provider, model="demo")
    with pytest.raises(JidoError) as refusal:
        merge_config(present, ConfigChange(model=model))
    assert refusal.value.code == code


@pytest.mark.parametrize("field", ["temperature", "max_tokens"])
@pytest.mark.parametrize("value", [True, "1"])
def test_only_numbers_are_numbers(field: str, value: object) -> None:
    with pytest.raises(ValidationError):
        ConfigChange.model_validate({field: value})
    assert ConfigChange.model_validate({field: 1}).model_fields_set == {field}


def test_an_explicit_zero_counts_and_the_rest_stays() -> None:
    present = SessionConfig(temperature=0.7, max_tokens=9)
    merged = merge_config(present, ConfigChange(temperature=0.0))
    assert (merged.temperature, merged.max_tokens) == (0.0, 9)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"provider": "ollama"}, "ollama:qwen3-coder"),
        ({"provider": "ollama", "model": "mine"}, "ollama:mine"),
        ({"provider": "offline"}, "offline:demo"),
        ({"temperature": 0.0}, "openai:kept"),
        ({"provider": "openai"}, "openai:kept"),
    ],
)
def test_a_provider_named_alone_brings_its_model(change: dict[str, Any], expected: str) -> None:
    config = SessionConfig(provider="openai", model="kept")
    wanted = ConfigChange.model_validate(change)
    assert merge_config(config, with_model(wanted, config)).qualified == expected
