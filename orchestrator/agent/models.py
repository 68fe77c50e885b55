"""Models by `provider:model`.

Owns how a client of each provider is built and which variables hold keys.
Refuses to keep a key or to retry: `model_errors` decides about another try, so
the clients are told to try once. Each provider's library is loaded when it is
first used: together they cost a second and a hundred megabytes.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import httpx2
from pydantic_ai.models import Model

from orchestrator.agent.keys import FREE_PROVIDERS, availability, key_of
from orchestrator.agent.model_errors import missing_key
from orchestrator.agent.offline.model import OfflineModel
from orchestrator.domain.models import OFFLINE_PROVIDER, SessionConfig, validate_provider
from orchestrator.settings import Settings

if TYPE_CHECKING:
    from pydantic_ai.providers.openai import OpenAIProvider

CONNECT_TIMEOUT_S: Final = 10.0
"""Seconds until a connection to a provider must stand."""

READ_TIMEOUT_S: Final = 600.0
"""Seconds of silence of a provider's stream that are borne."""

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
        return key_of(provider, self._environment)

    def available(self) -> dict[str, str | None]:
        """Return every provider and what is missing to use it, None when nothing is."""
        return availability(self._settings, self._environment)

    async def preload(self) -> None:
        """Build a client of every provider that is likely used, so that forks find it loaded."""
        chosen = (self._settings.model or "").partition(":")[0]
        for provider, missing in self.available().items():
            likely = provider not in FREE_PROVIDERS or provider == chosen
            if missing is None and likely:
                async with self.open(SessionConfig(provider=provider, model="preload")):
                    pass

    @asynccontextmanager
    async def open(self, config: SessionConfig) -> AsyncIterator[Model]:
        """Give the model of `config` for the length of the block, connections included.

        Raises UnknownProvider, or ModelAuthenticationFailed naming the variable to set.
        """
        validate_provider(config.provider)
        if config.provider == OFFLINE_PROVIDER:
            yield OfflineModel(config.model)
            return
        timeout = httpx2.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
        async with httpx2.AsyncClient(
            verify=self._trust, timeout=timeout, follow_redirects=True
        ) as client:
            yield self._builders()[config.provider](config.model, client)

    def _builders(self) -> dict[str, Callable[[str, httpx2.AsyncClient], Model]]:
        return {
            "anthropic": self._anthropic,
            "openai": self._openai_chat,
            "openai-responses": self._openai_responses,
            "google": self._google,
            "ollama": self._ollama,
        }

    def _required_key(self, provider: str) -> str:
        key = self.key(provider)
        if key is None:
            raise missing_key(provider)
        return key

    def _anthropic(self, name: str, client: httpx2.AsyncClient) -> Model:
        key = self._required_key("anthropic")
        from anthropic import AsyncAnthropic
        from pydantic_ai.models.anthropic import AnthropicModel
        from pydantic_ai.providers.anthropic import AnthropicProvider

        library = AsyncAnthropic(
            api_key=key,
            base_url=self._settings.anthropic_base_url,
            http_client=client,
            max_retries=0,
        )
        return AnthropicModel(name, provider=AnthropicProvider(anthropic_client=library))

    def _openai_provider(self, provider: str, client: httpx2.AsyncClient) -> OpenAIProvider:
        base_url = self._settings.openai_base_url
        key = (self.key(provider) or _NO_KEY) if base_url else self._required_key(provider)
        from openai import AsyncOpenAI
        from pydantic_ai.providers.openai import OpenAIProvider

        library = AsyncOpenAI(api_key=key, base_url=base_url, http_client=client, max_retries=0)
        return OpenAIProvider(openai_client=library)

    def _openai_chat(self, name: str, client: httpx2.AsyncClient) -> Model:
        provider = self._openai_provider("openai", client)
        from pydantic_ai.models.openai import OpenAIChatModel

        return OpenAIChatModel(name, provider=provider)

    def _openai_responses(self, name: str, client: httpx2.AsyncClient) -> Model:
        provider = self._openai_provider("openai-responses", client)
        from pydantic_ai.models.openai import OpenAIResponsesModel

        return OpenAIResponsesModel(name, provider=provider)

    def _google(self, name: str, client: httpx2.AsyncClient) -> Model:
        key = self._required_key("google")
        from pydantic_ai.models.google import GoogleModel
        from pydantic_ai.providers.google import GoogleProvider

        provider = GoogleProvider(
            api_key=key, http_client=client, base_url=self._settings.google_base_url
        )
        return GoogleModel(name, provider=provider)

    def _ollama(self, name: str, client: httpx2.AsyncClient) -> Model:
        from openai import AsyncOpenAI
        from pydantic_ai.models.ollama import OllamaModel
        from pydantic_ai.providers.ollama import OllamaProvider

        library = AsyncOpenAI(
            api_key=self.key("ollama") or _NO_KEY,
            base_url=self._settings.ollama_base_url,
            http_client=client,
            max_retries=0,
        )
        return OllamaModel(name, provider=OllamaProvider(openai_client=library))
