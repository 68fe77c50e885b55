"""The application: routes behind one gate, with one error handler.

Owns how the parts are put together. Refuses to make them: use cases, settings and
the token come from outside.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import structlog
from fastapi import FastAPI
from fastapi.routing import APIRoute

from orchestrator import __version__
from orchestrator.api import problems
from orchestrator.api.gate import OPEN_PATHS, Gate
from orchestrator.api.routes import events, sandbox, saved, sessions, system, turns
from orchestrator.api.stream import MAX_STREAMS, Streams
from orchestrator.domain.errors import JidoError
from orchestrator.services.bundle import Services
from orchestrator.settings import Settings
from orchestrator.wire.problems import MEDIA_TYPE

_log = structlog.get_logger(__name__)


def create_app(
    services: Services, settings: Settings, token: str, *, max_streams: int = MAX_STREAMS
) -> FastAPI:
    """Return the api over `services`; requests must carry `token`."""
    app = FastAPI(
        title="Jido Code",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        generate_unique_id_function=_operation_id,
        redirect_slashes=False,
    )
    app.state.services = services
    app.state.streams = Streams(max_streams)
    for module in (sessions, turns, sandbox, events, saved, system):
        app.include_router(module.router)
    problems.install(app)
    app.openapi = _described(app, app.openapi)  # type: ignore[method-assign]
    app.add_middleware(Gate, token=token, hosts=settings.allowed_hosts.split(","))
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    closings = asyncio.create_task(_finish_closings(app.state.services))
    try:
        yield
    finally:
        app.state.streams.stop()
        closings.cancel()
        with suppress(asyncio.CancelledError):
            await closings


async def _finish_closings(services: Services) -> None:
    try:
        await services.sessions.finish_closings()
    except JidoError as error:
        _log.warning("closings.unfinished", code=error.code, detail=error.detail)


def _operation_id(route: APIRoute) -> str:
    return f"{route.tags[0]}_{route.name}"


def _described(
    app: FastAPI, original: Callable[[], dict[str, Any]]
) -> Callable[[], dict[str, Any]]:
    """Return what answers /openapi.json: the routes, the token, and problems as the failures."""

    def describe() -> dict[str, Any]:
        if app.openapi_schema:
            return app.openapi_schema
        document = original()
        components = document.setdefault("components", {})
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        schemas = components.setdefault("schemas", {})
        schemas["Problem"] = problems.PROBLEM_SCHEMA
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        for path, operations in document["paths"].items():
            for operation in operations.values():
                _describe_failures(operation)
                operation["security"] = [] if path in OPEN_PATHS else [{"token": []}]
        return document

    return describe


def _describe_failures(operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    responses.pop("422", None)
    responses["default"] = {
        "description": "A problem",
        "content": {
            MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}},
        },
    }
