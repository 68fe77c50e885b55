"""`jido health`: whether a process of a container does its work; for health checks."""

from __future__ import annotations

from typing import Annotated, Literal

import typer


def health(
    part: Annotated[Literal["api", "worker", "supervisor"], typer.Argument(help="Which process.")],
) -> int:
    """Exit 0 when the process answers or has said lately that it lives, else 1."""
    import asyncio

    from orchestrator.settings import load_settings

    settings = load_settings()
    if part == "api":
        from orchestrator.local.http import Api

        Api(f"http://127.0.0.1:{settings.port}", None).call("GET", "/healthz", timeout_s=5.0)
        return 0
    return 0 if asyncio.run(_announced(settings.effective_redis_url, part)) else 1


async def _announced(redis_url: str, part: str) -> bool:
    from orchestrator.store.facade import Store

    async with Store.open(redis_url) as store:
        return await store.presence.present(part) is not None
