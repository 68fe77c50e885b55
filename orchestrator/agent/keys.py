"""Which providers can be used with the keys at hand.

Owns the variables that hold keys and what is missing without them. Refuses every provider's
library: what can be used is said long before the first of them is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from orchestrator.domain.models import OFFLINE_PROVIDER, PROVIDERS
from orchestrator.settings import Settings

KEY_VARIABLES: Final[dict[str, tuple[str, ...]]] = {
    "anthropic": ("ANTHROPIC_API_KEY",),
    "openai": ("OPENAI_API_KEY",),
    "openai-responses": ("OPENAI_API_KEY",),
    "google": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    "ollama": ("OLLAMA_API_KEY",),
}
"""Variables of the worker's environment that may hold a provider's key, the usual one first."""

FREE_PROVIDERS: Final = frozenset({OFFLINE_PROVIDER, "ollama"})
"""Providers whose answers cost nothing, and that need no key."""

_COMPATIBLE: Final = frozenset({"openai", "openai-responses"})
"""Providers that need no key where a server of one's own is named."""


def key_of(provider: str, environment: Mapping[str, str]) -> str | None:
    """Return the provider's key, None when its variables are not set."""
    for variable in KEY_VARIABLES.get(provider, ()):
        if value := environment.get(variable):
            return value
    return None


def availability(settings: Settings, environment: Mapping[str, str]) -> dict[str, str | None]:
    """Return every provider and what is missing to use it, None when nothing is."""
    return {provider: _missing(provider, settings, environment) for provider in PROVIDERS}


def _missing(provider: str, settings: Settings, environment: Mapping[str, str]) -> str | None:
    if provider in FREE_PROVIDERS or key_of(provider, environment) is not None:
        return None
    if provider in _COMPATIBLE and settings.openai_base_url:
        return None
    return f"set {KEY_VARIABLES[provider][0]}"
