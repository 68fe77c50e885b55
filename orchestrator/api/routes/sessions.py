"""Calls about live sessions."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Response

from orchestrator.api.dependencies import SessionId, UseCases
from orchestrator.domain.session import Session
from orchestrator.wire.bodies import CreateSession, Page, Saved, UpdateSession

router = APIRouter(prefix="/v1/sessions", tags=["sessions"])


@router.post("", status_code=201)
async def create(
    body: CreateSession, services: UseCases, wait: Literal["ready"] | None = None
) -> Session:
    """Start a session; `wait=ready` answers when its sandbox is ready or failed."""
    session = await services.sessions.create(body.project_path, body.name, body.config)
    return await services.sessions.settled(session.id) if wait else session


@router.get("")
async def listing(services: UseCases) -> Page[Session]:
    """List live sessions by creation."""
    return Page(items=await services.sessions.list())


@router.get("/{session_id}")
async def one(session_id: SessionId, services: UseCases) -> Session:
    """Return a session."""
    return await services.sessions.get(session_id)


@router.patch("/{session_id}")
async def update(session_id: SessionId, body: UpdateSession, services: UseCases) -> Session:
    """Rename or configure; what is not given stays."""
    return await services.sessions.update(session_id, body.name, body.config)


@router.delete("/{session_id}", status_code=204)
async def close(
    session_id: SessionId, services: UseCases, save: bool = True, only_empty: bool = False
) -> Response:
    """Close a session, saved unless `save=false`; `only_empty` only if nothing was said in it."""
    await services.sessions.close(session_id, save, only_empty=only_empty)
    return Response(status_code=204)


@router.post("/{session_id}/restart", status_code=202)
async def restart(session_id: SessionId, services: UseCases) -> Session:
    """Start a fresh sandbox; the conversation stays."""
    return await services.sessions.restart(session_id)


@router.post("/{session_id}/save")
async def save(session_id: SessionId, services: UseCases) -> Saved:
    """Save now and go on, and say where; a session in which nothing was said is not saved."""
    return await services.saving.keep(session_id)
