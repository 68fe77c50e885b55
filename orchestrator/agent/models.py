"""Models by `provider:model`.

Owns how a client of each provider is built and which variables hold keys.
Refuses to keep a key or to retry: `model_errors` decides about another try, so
the clients are told to try once. Each provider's library is loaded when it is
first used: together they cost a second and a hundred megabytes.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import httpx2
from pydantic_ai.models import Model

from orchestrator.agent.model_errors import KEY_VARIABLES, missing_key
from orchestrator.agent.offline.model import OfflineModel
from orchestrator.domain.models import SessionConfig, validate_provider
from orchestrator.settings import Settings

if TYPE_CHECKING:
    from pydantic_ai.providers.openai import OpenAIProvider

CONNECT_TIMEOUT_S: Final = 10.0
"""Seconds until a connection to a provider must stand."""

READ_TIMEOUT_S: Final = 600.0
"""Seconds of silence of a provider's stream that are borne."""

FREE_PROVIDERS: Final = frozenset({"offline", "ollama"})
"""Providers whose answers cost nothing."""

_NO_KEY: Final = "not-needed"
"""Sent where a client insists on a key and the server does not."""


class Models:
    """Builds models; made once before workers fork, used by each of them.

    Holds the trust store, which takes tens of milliseconds to load and can be
    shared; holds no connection, which could not.
    """

    def __init__(self, settings: Settings, environment: Mapping[str, str]) -> None:
        self._settings = settings
        self._environment = environment
        self._trust = ssl.create_default_context()

    def key(self, provider: str) -> str | None:
        """Return the provider's key, None when its variables are not set."""
        for variable in KEY_VARIABLES.get(provider, ()):
            if value := self._environment.get(variable):
                return value
        return None

    def available(self) -> dict[str, str | None]:
        """Return every provider and what is missing to use it, None when nothing is."""
        state: dict[str, str | None] = {"offline": None, "ollama": None}
        for provider in ("anthropic", "openai", "openai-responses", "google"):
            missing = None if self._reachable(provider) else f"set {KEY_VARIABLES[provider][0]}"
            state[provider] = missing
        return state

    def preload(self) -> None:
        """Build a client of every provider that can be used, so that forks find it loaded."""
        for provider, missing in self.available().items():
            if missing is None:
                self.build(SessionConfig(provider=provider, model="preload"))

    def _reachable(self, provider: str) -> bool:
        if self.key(provider) is not None:
            return True
        return provider in ("openai", "openai-responses") and bool(self._settings.openai_base_url)

    def build(self, config: SessionConfig) -> Model:
        """Return the model of `config`.

        Raises UnknownProvider, or ModelAuthenticationFailed naming the variable to set.
        """
        validate_provider(config.provider)
        builders: dict[str, Callable[[str], Model]] = {
            "anthropic": self._anthropic,
            "openai": self._openai_chat,
            "openai-responses": self._openai_responses,
            "google": self._google,
            "ollama": self._ollama,
            "offline": OfflineModel,
        }
        return builders[config.provider](config.model)

    def _http_client(self) -> httpx2.AsyncClient:
        timeout = httpx2.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
        return httpx2.AsyncClient(verify=self._trust, timeout=timeout, follow_redirects=True)

    def _required_key(self, provider: str) -> str:
        key = self.key(provider)
        if key is None:
            raise missing_key(provider)
        return key

    def _anthropic(self, name: str) -> Model:
        from anthropic import AsyncAnthropic
        from pydantic_ai.models.anthropic import AnthropicModel
        from pydantic_ai.providers.anthropic import AnthropicProvider

        client = AsyncAnthropic(
            api_key=self._required_key("anthropic"),
            base_url=self._settings.anthropic_base_url,
            http_client=self._http_client(),
            max_retries=0,
        )
        return AnthropicModel(name, provider=AnthropicProvider(anthropic_client=client))

    def _openai_client(self, provider: str) -> OpenAIProvider:
        from openai import AsyncOpenAI
        from pydantic_ai.providers.openai import OpenAIProvider

        base_url = self._settings.openai_base_url
        key = (self.key(provider) or _NO_KEY) if base_url else self._required_key(provider)
        client = AsyncOpenAI(
            api_key=key, base_url=base_url, http_client=self._http_client(), max_retries=0
        )
        return OpenAIProvider(openai_client=client)

    def _openai_chat(self, name: str) -> Model:
        from pydantic_ai.models.openai import OpenAIChatModel

        return OpenAIChatModel(name, provider=self._openai_client("openai"))

    def _openai_responses(self, name: str) -> Model:
        from pydantic_ai.models.openai import OpenAIResponsesModel

        return OpenAIResponsesModel(name, provider=self._openai_client("openai-responses"))

    def _google(self, name: str) -> Model:
        from pydantic_ai.models.google import GoogleModel
        from pydantic_ai.providers.google import GoogleProvider

        key = self._required_key("google")
        return GoogleModel(
            name, provider=GoogleProvider(api_key=key, http_client=self._http_client())
        )

    def _ollama(self, name: str) -> Model:
        from openai import AsyncOpenAI
        from pydantic_ai.models.ollama import OllamaModel
        from pydantic_ai.providers.ollama import OllamaProvider

        client = AsyncOpenAI(
            api_key=self.key("ollama") or _NO_KEY,
            base_url=self._settings.ollama_base_url,
            http_client=self._http_client(),
            max_retries=0,
        )
        return OllamaModel(name, provider=OllamaProvider(openai_client=client))
