"""Our own OpenAPI document, and generated requests that must be answered as it says."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from orchestrator.api.app import create_app
from orchestrator.api.server import Server, bind
from orchestrator.services.bundle import build_services
from orchestrator.settings import Settings, load_settings
from orchestrator.store.facade import Store
from tests.support.process_runtime import ProcessRuntime
from tests.support.supervision import supervised
from tests.support.valkey import Server as Valkey

TOKEN: Final = "token-of-the-test"

EXAMPLES: Final = 10
"""Requests generated for each operation."""

STREAMING: Final = "/events|/exec"
"""Operations whose answers do not end by themselves, or run what was generated."""

CONTRACT: Final = {
    "/v1/sessions": {"get", "post"},
    "/v1/sessions/{session_id}": {"get", "patch", "delete"},
    "/v1/sessions/{session_id}/restart": {"post"},
    "/v1/sessions/{session_id}/turns": {"post"},
    "/v1/sessions/{session_id}/turns/{turn_id}": {"get"},
    "/v1/sessions/{session_id}/turns/{turn_id}/cancel": {"post"},
    "/v1/sessions/{session_id}/turns/{turn_id}/approvals/{call_id}": {"post"},
    "/v1/sessions/{session_id}/messages": {"get"},
    "/v1/sessions/{session_id}/todos": {"get"},
    "/v1/sessions/{session_id}/files": {"get"},
    "/v1/sessions/{session_id}/diff": {"get"},
    "/v1/sessions/{session_id}/exec": {"post"},
    "/v1/sessions/{session_id}/lua": {"post"},
    "/v1/sessions/{session_id}/tools": {"get"},
    "/v1/sessions/{session_id}/events": {"get"},
    "/v1/events": {"get"},
    "/v1/saved": {"get"},
    "/v1/saved/{saved_id}/resume": {"post"},
    "/v1/saved/{saved_id}": {"delete"},
    "/v1/sessions/{session_id}/export": {"get"},
    "/v1/import": {"post"},
    "/v1/models": {"get"},
    "/v1/settings": {"get"},
    "/healthz": {"get"},
    "/readyz": {"get"},
    "/metrics": {"get"},
}


@pytest.fixture(scope="module")
def installation(valkey_server: Valkey) -> Iterator[Settings]:
    """Settings of an installation with one project directory."""
    base = Path(tempfile.mkdtemp(prefix="jido-oas-", dir="/tmp")).resolve()
    (base / "projects" / "alpha").mkdir(parents=True)
    with valkey_server.client() as client:
        client.flushall()
    yield load_settings(
        home=base / "home",
        redis_url=valkey_server.url,
        project_roots=str(base / "projects"),
        run_directory=base / "run",
        port=0,
        model="offline:demo",
    )
    shutil.rmtree(base, ignore_errors=True)


@pytest.fixture(scope="module")
def address(installation: Settings) -> Iterator[str]:
    """A server with a supervisor, in a thread with an event loop of its own."""
    started, stopping = threading.Event(), threading.Event()
    found: list[str] = []

    async def serve() -> None:
        async with (
            Store.open(installation.effective_redis_url) as store,
            supervised(installation, store, ProcessRuntime("oas")),
        ):
            await store.presence.announce("worker", {"providers": []}, 600.0)
            listener = bind(installation)
            found.append(f"http://127.0.0.1:{listener.getsockname()[1]}")
            app = create_app(build_services(store, installation), installation, TOKEN)
            server = Server(app, lambda _port: started.set())
            serving = asyncio.create_task(server.serve([listener]))
            await asyncio.to_thread(stopping.wait)
            server.should_exit = True
            await serving

    thread = threading.Thread(target=asyncio.run, args=[serve()])
    thread.start()
    try:
        assert started.wait(20)
        yield found[0]
    finally:
        stopping.set()
        thread.join(20)


@pytest.fixture(scope="module")
def document(address: str) -> dict[str, Any]:
    headers = {"authorization": f"Bearer {TOKEN}"}
    answer = httpx.get(f"{address}/openapi.json", headers=headers)
    described: dict[str, Any] = answer.json()
    return described


@pytest.fixture(scope="module")
def session_id(address: str, installation: Settings) -> str:
    """A live session, so that generated requests get past its lookup."""
    answer = httpx.post(
        f"{address}/v1/sessions?wait=ready",
        json={"project_path": f"{installation.roots[0]}/alpha"},
        headers={"authorization": f"Bearer {TOKEN}"},
        timeout=30,
    )
    assert answer.status_code == 201, answer.text
    identifier: str = answer.json()["id"]
    return identifier


def test_every_call_of_the_contract_is_described(document: dict[str, Any]) -> None:
    described = {path: set(operations) for path, operations in document["paths"].items()}
    missing = {path: calls - described.get(path, set()) for path, calls in CONTRACT.items()}
    assert not {path: calls for path, calls in missing.items() if calls}


def test_every_failure_is_described_as_a_problem(document: dict[str, Any]) -> None:
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert "application/problem+json" in operation["responses"]["default"]["content"], path
            assert operation["security"] == ([] if path.endswith("z") else [{"token": []}])
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_generated_requests_are_answered_as_described(
    document: dict[str, Any], address: str, session_id: str
) -> None:
    schema = schemathesis.openapi.from_dict(document).exclude(path_regex=STREAMING)
    failures: list[str] = []
    count = 0
    for found in schema.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()
        count += 1
        try:
            _try(operation, address, session_id)
        except (AssertionError, Failure, FailureGroup) as error:
            failures.append(f"{operation.label}: {error}")
    assert not failures, "\n\n".join(failures)
    assert count >= len(CONTRACT)


def _try(operation: APIOperation[Any, Any, Any, Any], address: str, session_id: str) -> None:
    """Send generated requests of one operation and check the answers against the document."""

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def send(case: schemathesis.Case[Any]) -> None:
        if "session_id" in case.path_parameters and case.method != "DELETE":
            case.path_parameters["session_id"] = session_id
        case.call_and_validate(
            base_url=address,
            headers={"authorization": f"Bearer {TOKEN}"},
            timeout=30,
            checks=[
                not_a_server_error,
                status_code_conformance,
                content_type_conformance,
                response_schema_conformance,
            ],
        )

    send()
