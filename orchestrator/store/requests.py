"""Requests (being built)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class Requests:
    """Question and answer between processes."""

    async def call(self, kind: str, payload: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        """Raises SupervisorUnavailable on timeout, or the JidoError the handler raised."""
        raise NotImplementedError

    async def serve(self, handlers: Mapping[str, Handler]) -> None:
        """Answer until cancelled."""
        raise NotImplementedError
