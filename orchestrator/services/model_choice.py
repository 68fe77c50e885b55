"""Which models can be chosen, and which one new sessions start with.

Owns the list shown to people and the default per provider. Refuses keys: which
providers are configured is what the workers announce, and nothing else.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from orchestrator.domain.models import (
    DEFAULT_MODELS,
    OFFLINE_MODEL,
    OFFLINE_PROVIDER,
    ConfigChange,
    SessionConfig,
    parse_model,
)
from orchestrator.settings import Settings
from orchestrator.store.facade import Store
from orchestrator.wire.bodies import ModelInfo, Models

WORKER: Final = "worker"
"""Kind under which workers announce themselves, with the list `providers`."""

CATALOGUE: Final[tuple[tuple[str, str], ...]] = (
    ("anthropic", "claude-sonnet-5-5"),
    ("anthropic", "claude-opus-5-5"),
    ("anthropic", "claude-haiku-5-5"),
    ("openai", "gpt-6.1-sol"),
    ("openai", "gpt-6-luna"),
    ("openai-responses", "gpt-6.1-sol"),
    ("google", "gemini-3.8-flash"),
    ("google", "gemini-3.1-pro-preview"),
    ("ollama", "qwen3-coder"),
    (OFFLINE_PROVIDER, OFFLINE_MODEL),
)
"""Provider and model; any other name of a provider's is accepted, this is what is offered."""

PREFERENCE: Final = ("anthropic", "openai", "google")
"""Providers by whose key the default is found, the first that has one."""

WORKER_WAIT_S: Final = 10.0
"""Seconds that the choice of a default waits for the first worker to announce itself."""

_KEYS: Final = {
    "anthropic": "ANTHROPIC_API_KEY",
    "openai": "OPENAI_API_KEY",
    "openai-responses": "OPENAI_API_KEY",
    "google": "GEMINI_API_KEY",
}


class ModelService:
    """Answers what can be chosen here."""

    def __init__(self, store: Store, settings: Settings) -> None:
        """Judge by the workers' announcements in `store`."""
        self._store = store
        self._settings = settings

    async def default(self, *, is_named: bool = False) -> SessionConfig:
        """Return the configuration that new sessions start with.

        While everything is just starting it waits for the workers: which keys there are is
        theirs to say, and a session must not fall to the offline model for want of patience.
        `is_named` says that the caller brings a model of its own, so that nothing is waited for.
        """
        provider, model = self._choose(None if is_named else await self._configured_soon())
        return SessionConfig(
            provider=provider,
            model=model,
            temperature=self._settings.temperature,
            max_tokens=self._settings.max_tokens,
        )

    async def models(self) -> Models:
        """Return the models on offer, each with whether it can be used here."""
        configured = await self._configured()
        provider, model = self._choose(configured)
        chosen = (provider, model)
        offered = CATALOGUE if chosen in CATALOGUE else (chosen, *CATALOGUE)
        return Models(
            items=[_info(provider, model, configured) for provider, model in offered],
            default=f"{provider}:{model}",
        )

    async def lacking(self, provider: str) -> str | None:
        """Return what is missing to use a provider here; None when nothing is known to be."""
        configured = await self._configured()
        if configured is None or provider in configured:
            return None
        return _missing(provider)

    async def _configured_soon(self) -> frozenset[str] | None:
        if self._settings.model is not None:
            return None
        deadline = time.monotonic() + WORKER_WAIT_S
        while (found := await self._configured()) is None and time.monotonic() < deadline:  # noqa: ASYNC110 - another process tells
            await asyncio.sleep(0.05)
        return found

    async def _configured(self) -> frozenset[str] | None:
        """Return the providers that can be used; None while no worker says so."""
        announced = await self._store.presence.present(WORKER)
        return None if announced is None else _providers(announced)

    def _choose(self, configured: frozenset[str] | None) -> tuple[str, str]:
        if self._settings.model is not None:
            return parse_model(self._settings.model)
        for provider in PREFERENCE:
            if configured is not None and provider in configured:
                return provider, DEFAULT_MODELS[provider]
        return OFFLINE_PROVIDER, OFFLINE_MODEL


def with_model(change: ConfigChange, config: SessionConfig) -> ConfigChange:
    """Return `change` with the default model of a provider that is named without one."""
    provider = change.provider
    if provider is None or change.model is not None or provider == config.provider:
        return change
    model = DEFAULT_MODELS.get(provider)
    return change if model is None else change.model_copy(update={"model": model})


def _providers(announced: dict[str, Any]) -> frozenset[str]:
    named = announced.get("providers", [])
    return frozenset(str(name) for name in named) | {OFFLINE_PROVIDER}


def _info(provider: str, model: str, configured: frozenset[str] | None) -> ModelInfo:
    identifier = f"{provider}:{model}"
    if configured is None:
        return ModelInfo(id=identifier, available=False, reason="No worker is running.")
    if provider in configured:
        return ModelInfo(id=identifier, available=True)
    return ModelInfo(id=identifier, available=False, reason=_missing(provider))


def _missing(provider: str) -> str:
    key = _KEYS.get(provider)
    return f"Set {key} for the worker." if key else "The worker cannot reach this provider."
