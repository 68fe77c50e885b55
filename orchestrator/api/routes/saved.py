"""Calls about saved sessions, export and import."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from orchestrator.api.dependencies import SavedId, SessionId, UseCases
from orchestrator.domain.session import Session
from orchestrator.wire.bodies import Page, ResumeSession, SavedSession
from orchestrator.wire.portable import Portable

router = APIRouter(tags=["saved"])

Redact = Annotated[
    bool, Query(description="Take out what looks like a secret; best effort, look before sharing")
]


@router.get("/v1/saved")
async def listing(services: UseCases) -> Page[SavedSession]:
    """List saved sessions, newest first; `error` names what is wrong with a file."""
    return Page(items=await services.saved.list())


@router.post("/v1/saved/{saved_id}/resume", status_code=201)
async def resume(
    saved_id: SavedId, services: UseCases, body: ResumeSession | None = None
) -> Session:
    """Make a saved session live again, with `project_path` when the project moved."""
    asked = body or ResumeSession()
    return await services.saved.resume(saved_id, asked.project_path, asked.replaces)


@router.delete("/v1/saved/{saved_id}", status_code=204)
async def delete(saved_id: SavedId, services: UseCases) -> Response:
    """Delete a saved session."""
    await services.saved.delete(saved_id)
    return Response(status_code=204)


@router.get(
    "/v1/sessions/{session_id}/export",
    response_class=Response,
    responses={200: {"model": Portable}},
)
async def export(session_id: SessionId, services: UseCases, redact: Redact = False) -> Response:
    """Return the session as a portable document."""
    document = await services.transfer.export(session_id, redacts=redact)
    return Response(document, media_type="application/json")


@router.get(
    "/v1/saved/{saved_id}/export",
    response_class=Response,
    responses={200: {"model": Portable}},
)
async def export_saved(saved_id: SavedId, services: UseCases, redact: Redact = False) -> Response:
    """Return a saved session as a portable document, without resuming it."""
    document = await services.transfer.export_saved(saved_id, redacts=redact)
    return Response(document, media_type="application/json")


@router.post(
    "/v1/import",
    status_code=201,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Portable"}}},
        }
    },
)
async def import_document(
    request: Request,
    services: UseCases,
    project_path: Annotated[
        str | None, Query(description="Where its project is here; absent: as the document says")
    ] = None,
) -> SavedSession:
    """Save a portable document as a session to be resumed."""
    return await services.transfer.import_document(await request.body(), project_path)
