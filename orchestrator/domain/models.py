"""Model names and sampling settings: `provider:model`, temperature, max_tokens.

Owns which providers exist and what a session's configuration may hold. Refuses
keys and clients: whether a provider can be reached is the worker's to find out.
"""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict, StrictFloat, StrictInt

from orchestrator.domain.errors import (
    InvalidMaxTokens,
    InvalidTemperature,
    UnknownModelFormat,
    UnknownProvider,
)

PROVIDERS: Final = ("anthropic", "openai", "openai-responses", "google", "ollama", "offline")
"""Known providers; `openai` speaks chat completions to any compatible base URL."""

OFFLINE_PROVIDER: Final = "offline"
OFFLINE_MODEL: Final = "demo"

DEFAULT_MODELS: Final = {
    "anthropic": "claude-sonnet-5-5",
    "openai": "gpt-6.1-sol",
    "openai-responses": "gpt-6.1-sol",
    "google": "gemini-3.8-flash",
    "ollama": "qwen3-coder",
    OFFLINE_PROVIDER: OFFLINE_MODEL,
}
"""The model that a provider named alone means."""


class SessionConfig(BaseModel):
    """Which model a session uses and how it samples."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    provider: str = OFFLINE_PROVIDER
    """One of PROVIDERS."""
    model: str = OFFLINE_MODEL
    """The provider's own name of the model."""
    temperature: float | None = None
    """0 to 2; None leaves the provider's default, 0.0 is a real zero."""
    max_tokens: int | None = None
    """Tokens of one answer at most; None leaves the provider's default."""

    @property
    def qualified(self) -> str:
        """`provider:model`, as a person writes it."""
        return f"{self.provider}:{self.model}"


class ConfigChange(BaseModel):
    """A partial change; a field not set keeps its value, an explicit zero counts."""

    model_config = ConfigDict(extra="forbid")

    provider: str | None = None
    """One of PROVIDERS; not set or None keeps the present one."""
    model: str | None = None
    """`provider:model`, or a name of `provider`; not set or None keeps the present one."""
    temperature: StrictFloat | None = None
    """0 to 2, as a number; explicit None returns to the provider's default."""
    max_tokens: StrictInt | None = None
    """Positive, as a number; explicit None returns to the provider's default."""


def parse_model(text: str) -> tuple[str, str]:
    """Split `provider:model`.

    Raises UnknownModelFormat without both parts, UnknownProvider for any other provider.
    """
    provider, colon, model = text.strip().partition(":")
    if not (provider and colon and model) or not _is_model_name(model):
        raise UnknownModelFormat(
            f"“{text[:80]}” is not a model. Write provider:model, for example offline:demo."
        )
    if validate_provider(provider) == OFFLINE_PROVIDER and model != OFFLINE_MODEL:
        raise UnknownModelFormat(
            f"There is no model “{text[:80]}”. The offline model is offline:demo; "
            "write provider:model for another."
        )
    return provider, model


def _is_model_name(text: str) -> bool:
    return text.isprintable() and " " not in text and not text.endswith(":") and len(text) <= 200


def validate_provider(provider: str) -> str:
    """Return `provider` when it is known; raises UnknownProvider with the list otherwise."""
    if provider not in PROVIDERS:
        raise UnknownProvider(
            f"Provider “{provider[:40]}” is not known. Known: {', '.join(PROVIDERS)}."
        )
    return provider


def merge_config(config: SessionConfig, change: ConfigChange) -> SessionConfig:
    """Return `config` with every field that `change` sets.

    Raises UnknownProvider, UnknownModelFormat, InvalidTemperature or InvalidMaxTokens.
    """
    provider, model = config.provider, config.model
    if change.provider is not None:
        provider = validate_provider(change.provider)
        if provider == OFFLINE_PROVIDER and change.model is None:
            model = OFFLINE_MODEL
    if change.model is not None:
        # A colon after no provider of ours is a misspelt one, unless the provider is given beside
        # it: names such as Ollama's `qwen3:8b` have colons of their own.
        qualified = change.provider is None and ":" in change.model
        provider, model = parse_model(change.model if qualified else f"{provider}:{change.model}")
    given = change.model_fields_set
    temperature = change.temperature if "temperature" in given else config.temperature
    max_tokens = change.max_tokens if "max_tokens" in given else config.max_tokens
    _validate_sampling(temperature, max_tokens)
    return SessionConfig(
        provider=provider, model=model, temperature=temperature, max_tokens=max_tokens
    )


def _validate_sampling(temperature: float | None, max_tokens: int | None) -> None:
    if temperature is not None and not 0 <= temperature <= 2:
        raise InvalidTemperature(f"Temperature {temperature} is out of range; use 0 to 2.")
    if max_tokens is not None and not 1 <= max_tokens <= 10_000_000:
        raise InvalidMaxTokens(f"max_tokens {max_tokens} is out of range; use 1 or more.")
