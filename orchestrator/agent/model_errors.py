"""The one place where providers' failures become errors of our own tree.

    ModelAuthenticationError                401, 403  → model_authentication_failed, never retried
    ModelNotFoundError                      404       → model_not_found
    ModelRateLimitError                     429       → retried, then model_rate_limited
    ModelQuotaExceededError                           → model_rate_limited, never retried
    ModelConnectionError, -Server, -Unavailable  5xx  → retried, then model_unavailable
    anything else a provider refuses        400 …     → model_request_rejected

Owns the mapping, the number of retries and the pauses between them. Refuses to
show a provider's body whole: one line of it, without secrets.
"""

from __future__ import annotations

import random
from typing import Final

from pydantic_ai.exceptions import (
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelNotFoundError,
    ModelQuotaExceededError,
    ModelRateLimitError,
    ModelRequestTimeout,
    ModelServerError,
    ModelUnavailableError,
    UsageLimitExceeded,
)

from orchestrator.agent.keys import KEY_VARIABLES
from orchestrator.domain.errors import (
    BudgetReached,
    ModelAuthenticationFailed,
    ModelError,
    ModelNotFound,
    ModelRateLimited,
    ModelRequestRejected,
    ModelUnavailable,
)

MAX_RATE_LIMIT_RETRIES: Final = 5
"""Tries after the first when a provider says that there are too many requests."""

MAX_OTHER_RETRIES: Final = 3
"""Tries after the first when a provider does not answer or fails."""

MAX_PAUSE_S: Final = 60.0
"""Seconds between two tries at most; a provider that asks for more is not waited for."""

_TRANSIENT: Final = (
    ModelConnectionError,
    ModelServerError,
    ModelUnavailableError,
    ModelRequestTimeout,
)
_MAX_REASON_CHARACTERS: Final = 300


def pause_before_retry(error: ModelAPIError, tries: int) -> float | None:
    """Return seconds to wait before trying again, or None when that cannot help.

    `tries` is how often the request was sent so far, at least 1.
    """
    if isinstance(error, ModelRateLimitError):
        allowed = MAX_RATE_LIMIT_RETRIES
    elif isinstance(error, _TRANSIENT):
        allowed = MAX_OTHER_RETRIES
    else:
        return None
    if tries > allowed:
        return None
    asked = error.retry_after
    if asked is not None:
        return max(0.0, asked) if asked <= MAX_PAUSE_S else None
    # Spread, so that ten sessions refused together do not come back together.
    return min(8.0, 0.25 * 2.0**tries) * random.uniform(0.75, 1.25)


def translate(error: Exception, provider: str, model: str) -> ModelError:
    """Return the error of our tree for a failure of `provider` while running `model`."""
    name = f"{provider}:{model}"
    if isinstance(error, ModelAuthenticationError):
        return missing_key(provider, refused=True)
    if isinstance(error, ModelNotFoundError):
        return ModelNotFound(
            f"{name} is not known to the provider ({_reason(error)}). Choose another with /model."
        )
    if isinstance(error, ModelQuotaExceededError):
        return ModelRateLimited(f"The account behind {name} has no quota left: {_reason(error)}.")
    if isinstance(error, ModelRateLimitError):
        return ModelRateLimited(
            f"{name} is limiting requests ({_reason(error)}). Wait a little, then prompt again."
        )
    if isinstance(error, _TRANSIENT):
        return ModelUnavailable(
            f"{name} does not answer ({_reason(error)}). Check the network and the provider's "
            "status, then prompt again."
        )
    if isinstance(error, UsageLimitExceeded):
        what = "money" if "cost_limit" in str(error) else "requests to the model"
        return BudgetReached(f"The turn reached its limit of {what}. Raise it to go on.")
    return ModelRequestRejected(f"{name} refused the request: {_reason(error)}.")


def missing_key(provider: str, *, refused: bool = False) -> ModelAuthenticationFailed:
    """Return the error for a provider without a key, or whose key was `refused`."""
    variable = KEY_VARIABLES.get(provider, ("its API key",))[0]
    if refused:
        return ModelAuthenticationFailed(
            f"{provider} refused the key. Set {variable} to a valid one in the environment of "
            "the worker and start it again."
        )
    return ModelAuthenticationFailed(
        f"No key for {provider}. Set {variable} in the environment of the worker and start it "
        "again, or use offline:demo."
    )


def _reason(error: Exception) -> str:
    if isinstance(error, ModelAPIError) and isinstance(error.body, dict):
        inner = error.body.get("error", error.body)
        message = inner.get("message") if isinstance(inner, dict) else inner
        if isinstance(message, str) and message:
            return _line(message)
    status = getattr(error, "status_code", None)
    return f"status {status}" if status is not None else _line(str(error) or type(error).__name__)


def _line(text: str) -> str:
    return " ".join(text.split())[:_MAX_REASON_CHARACTERS].rstrip(".")
