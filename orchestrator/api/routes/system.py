"""Calls about the server itself: models, settings, health, metrics."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from orchestrator.api import metrics
from orchestrator.api.dependencies import UseCases
from orchestrator.wire.bodies import Health, Models

router = APIRouter(tags=["system"])


@router.get("/v1/models")
async def models(services: UseCases) -> Models:
    """List models, with whether each can be used here."""
    return await services.models.models()


@router.get("/v1/settings")
async def settings(services: UseCases) -> dict[str, Any]:
    """Return the settings in force, without secrets."""
    return await services.health.settings()


@router.get("/healthz")
async def healthz() -> Health:
    """Say that the server runs."""
    return Health(status="ok")


@router.get("/readyz", responses={503: {"model": Health}})
async def readyz(services: UseCases, response: Response) -> Health:
    """Say whether sessions can be worked in; 503 with what is missing otherwise."""
    health = await services.health.ready()
    if health.status != "ok":
        response.status_code = 503
    return health


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def figures(services: UseCases) -> Response:
    """Return figures for Prometheus."""
    counts = await services.health.sessions_by_status()
    return Response(metrics.render(counts), media_type=metrics.CONTENT_TYPE)
