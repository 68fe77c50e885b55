"""What is true of every call: token, Host, body size, problems, no trace of the inside."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import cast

import httpx
import pytest
from structlog.testing import capture_logs

from orchestrator.api.app import create_app
from orchestrator.domain.limits import MAX_BODY_BYTES
from orchestrator.domain.session import Session
from orchestrator.services.bundle import Services
from orchestrator.services.sessions import SessionService
from orchestrator.settings import Settings
from tests.integration.api.answers import assert_refused
from tests.integration.api.conftest import TOKEN, client_of


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Bearer wrong"},
        {"authorization": f"Basic {TOKEN}"},
        {"authorization": f"Bearer {TOKEN}x"},
    ],
)
@pytest.mark.parametrize("path", ["/v1/sessions", "/metrics", "/openapi.json", "/nowhere"])
async def test_without_the_token_nothing_is_told(
    address: str, headers: dict[str, str], path: str
) -> None:
    async with httpx.AsyncClient(base_url=address) as stranger:
        answer = await stranger.get(path, headers=headers)
        assert_refused(answer, 401, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"


async def test_with_the_token_it_is(client: httpx.AsyncClient) -> None:
    for path in ("/v1/sessions", "/metrics", "/openapi.json"):
        assert (await client.get(path)).status_code == 200


async def test_health_needs_no_token(address: str) -> None:
    async with httpx.AsyncClient(base_url=address) as stranger:
        answer = await stranger.get("/healthz")
        assert (answer.status_code, answer.json()["status"]) == (200, "ok")
        assert (await stranger.get("/readyz")).status_code == 503


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[::2]:80"])
async def test_a_host_that_is_not_served_is_forbidden(client: httpx.AsyncClient, host: str) -> None:
    for path in ("/v1/sessions", "/healthz"):
        assert_refused(await client.get(path, headers={"host": host}), 403, "forbidden")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1234", "127.0.0.1:9", "[::1]", "[::1]:7"])
async def test_a_host_that_is_served_is_so_on_any_port(
    client: httpx.AsyncClient, host: str
) -> None:
    assert (await client.get("/v1/sessions", headers={"host": host})).status_code == 200


async def test_no_other_origin_is_allowed(client: httpx.AsyncClient) -> None:
    headers = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    answer = await client.options("/v1/sessions", headers=headers)
    assert_refused(answer, 405, "method_not_allowed")
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert (
        "access-control-allow-origin"
        not in (await client.get("/v1/sessions", headers=headers)).headers
    )


async def test_unknown_paths_and_methods_are_problems(client: httpx.AsyncClient) -> None:
    for path in ("/", "/v1", "/v1/nothing", "/v1/sessions/", "/docs", "//v1/sessions"):
        assert_refused(await client.get(path), 404, "not_found")
    answer = await client.put("/v1/sessions", json={})
    assert_refused(answer, 405, "method_not_allowed")
    assert "GET" in answer.headers["allow"] or "POST" in answer.headers["allow"]
    assert_refused(await client.request("BREW", "/v1/models"), 405, "method_not_allowed")


async def test_a_body_beyond_the_limit_is_refused_with_and_without_its_length(
    client: httpx.AsyncClient,
) -> None:
    big = b'{"project_path": "' + b"x" * MAX_BODY_BYTES + b'"}'
    headers = {"content-type": "application/json"}
    answer = await client.post("/v1/sessions", content=big, headers=headers)
    assert_refused(answer, 413, "body_too_large")

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(big), 65536):
            yield big[start : start + 65536]

    answer = await client.post("/v1/sessions", content=pieces(), headers=headers)
    assert_refused(answer, 413, "body_too_large")
    assert (await client.get("/v1/sessions")).status_code == 200


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"{", "application/json"),
        (b"[" * 100_000, "application/json"),
        (b"\xff\xfe", "application/json"),
        (b'{"project_path": "/tmp/\\ud800"}', "application/json"),
        (b'{"config": {"model": "\\udc00"}}', "application/json"),
        (b'{"project_path": "/tmp"}', "text/plain"),
        (b"null", "application/json"),
        (b"", "application/json"),
    ],
)
async def test_bodies_that_are_no_json_object_are_refused(
    client: httpx.AsyncClient, content: bytes, kind: str
) -> None:
    answer = await client.post("/v1/sessions", content=content, headers={"content-type": kind})
    assert_refused(answer, 422, "invalid_request")


class _Broken:
    """A use case with a fault that nobody foresaw."""

    async def list(self) -> list[Session]:
        raise ZeroDivisionError("the secret reason")

    async def finish_closings(self) -> None:
        pass


async def test_an_unforeseen_fault_tells_only_an_id_that_the_log_has_too(
    services: Services, settings: Settings
) -> None:
    broken = replace(services, sessions=cast(SessionService, _Broken()))
    with capture_logs() as logs:
        async with client_of(create_app(broken, settings, TOKEN), settings) as client:
            answer = await client.get("/v1/sessions")
    problem = assert_refused(answer, 500, "internal")
    assert "secret reason" not in answer.text
    assert "Traceback" not in answer.text
    (line,) = [entry for entry in logs if entry["event"] == "request.failed"]
    assert line["error_id"] == problem["error_id"]
    assert problem["error_id"] in problem["detail"]
    assert isinstance(line["exc_info"], ZeroDivisionError)


async def test_no_log_line_carries_the_token(client: httpx.AsyncClient) -> None:
    with capture_logs() as logs:
        await client.get("/v1/sessions", params={"token": TOKEN})
        await client.get("/v1/nothing")
    assert [entry["status"] for entry in logs if entry["event"] == "request"] == [200, 404]
    assert TOKEN not in json.dumps(logs, default=str)
