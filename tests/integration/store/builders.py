"""Sessions, intents and turns for the tests of the store."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from orchestrator.domain.events import NewEvent
from orchestrator.domain.ids import new_id
from orchestrator.domain.models import SessionConfig
from orchestrator.domain.session import Session
from orchestrator.domain.turn import Turn
from orchestrator.store.facade import Store
from orchestrator.store.intents import SandboxIntent


def a_session(path: str = "/home/somebody/project", **changes: Any) -> Session:
    now = datetime.now(UTC)
    session = Session(
        id=new_id(),
        name=path.rsplit("/", 1)[-1],
        project_path=path,
        config=SessionConfig(),
        created_at=now,
        updated_at=now,
    )
    return session.model_copy(update=changes)


def an_intent(session: Session) -> SandboxIntent:
    return SandboxIntent(
        session_id=session.id,
        project_path=session.project_path,
        owner_uid=1000,
        owner_gid=1000,
        image="jido-sandbox:test",
        memory_bytes=2**31,
        cpus=2.0,
        pids=512,
    )


def a_turn(session_id: str, prompt: str = "Do something.") -> Turn:
    return Turn(id=new_id(), session_id=session_id, prompt=prompt, created_at=datetime.now(UTC))


def created(session: Session) -> NewEvent:
    return NewEvent(type="session.created", data={"session": session.model_dump(mode="json")})


def a_notice(text: str = "news") -> NewEvent:
    return NewEvent(type="notice", data={"level": "info", "code": "test", "text": text})


async def claimed(store: Store, path: str = "/home/somebody/project", maximum: int = 10) -> Session:
    session = a_session(path)
    return await store.sessions.claim(session, an_intent(session), maximum, [created(session)])


async def ready(store: Store, path: str = "/home/somebody/project") -> Session:
    session = await claimed(store, path)
    return await store.sessions.update(
        session.id,
        lambda s: s.model_copy(update={"status": "ready"}),
        lambda _, new: [
            NewEvent(type="session.ready", data={"session": new.model_dump(mode="json")})
        ],
    )


async def types_of(store: Store, session_id: str) -> list[str]:
    return [event.type for event in await store.events.read(session_id, 0, 10_000)]
