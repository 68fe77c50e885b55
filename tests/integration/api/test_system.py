"""Models, settings, readiness, metrics."""

from __future__ import annotations

import httpx

from orchestrator.api.app import create_app
from orchestrator.services.bundle import build_services
from orchestrator.settings import Settings, load_settings
from orchestrator.store.facade import Store
from tests.integration.api.conftest import TOKEN, Opened, client_of
from tests.support.process_runtime import ProcessRuntime


async def test_readiness_names_what_is_missing(client: httpx.AsyncClient, store: Store) -> None:
    answer = await client.get("/readyz")
    assert answer.status_code == 503
    checks = answer.json()["checks"]
    assert checks["redis"] == "ok"
    assert "jido supervise" in checks["supervisor"]
    assert "jido work" in checks["worker"]
    await store.presence.announce("supervisor", {"error": "No engine answers."}, 60)
    await store.presence.announce("worker", {"providers": []}, 60)
    checks = (await client.get("/readyz")).json()["checks"]
    assert (checks["supervisor"], checks["worker"]) == ("No engine answers.", "ok")
    await store.presence.announce("supervisor", {"runtime": "docker", "error": None}, 60)
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")


async def test_models_are_available_where_a_worker_has_the_key(
    client: httpx.AsyncClient, store: Store
) -> None:
    await store.presence.announce("worker", {"providers": ["openai"]}, 60)
    models = (await client.get("/v1/models")).json()
    by_provider = {model["id"].partition(":")[0]: model for model in models["items"]}
    assert by_provider["openai"]["available"]
    assert by_provider["offline"]["available"]
    assert "ANTHROPIC_API_KEY" in by_provider["anthropic"]["reason"]
    assert models["default"].startswith("openai:")
    await store.presence.announce("worker", {"providers": ["openai", "anthropic"]}, 60)
    assert (await client.get("/v1/models")).json()["default"].startswith("anthropic:")
    await store.presence.announce("worker", {"providers": []}, 60)
    assert (await client.get("/v1/models")).json()["default"] == "offline:demo"


async def test_the_model_of_the_settings_wins(store: Store, settings: Settings) -> None:
    named = settings.model_copy(update={"model": "ollama:own", "temperature": 0.0})
    services = build_services(store, named)
    async with client_of(create_app(services, named, TOKEN), named) as client:
        models = (await client.get("/v1/models")).json()
        assert models["default"] == "ollama:own"
        assert models["items"][0]["id"] == "ollama:own"
    assert (await services.models.default()).temperature == 0.0


async def test_settings_are_shown_without_secrets(
    client: httpx.AsyncClient, runtime: ProcessRuntime, settings: Settings
) -> None:
    answer = await client.get("/v1/settings")
    shown = answer.json()
    assert (shown["max_sessions"], shown["approval"], shown["sandbox_network"]) == (
        3,
        "all",
        "none",
    )
    assert shown["project_roots"] == settings.roots
    for secret in ('"token"', "redis_url", TOKEN, str(settings.redis_url)):
        assert secret not in answer.text


async def test_metrics_count_requests_by_route_not_by_identifier(
    client: httpx.AsyncClient, opened: Opened
) -> None:
    session = await opened()
    await client.get(f"/v1/sessions/{session['id']}")
    text = (await client.get("/metrics")).text
    assert 'jido_sessions{status="ready"} 1.0' in text
    assert 'route="/v1/sessions/{session_id}"' in text
    assert session["id"] not in text


async def test_without_redis_calls_and_readiness_say_so(
    settings: Settings, tmp_path: object
) -> None:
    away = load_settings(home=settings.home, redis_url=f"unix://{tmp_path}/nobody.sock", port=0)
    async with Store.open(away.effective_redis_url) as store:
        services = build_services(store, away)
        async with client_of(create_app(services, away, TOKEN), away) as client:
            assert (await client.get("/healthz")).status_code == 200
            answer = await client.get("/readyz")
            assert answer.status_code == 503
            assert "Redis" in answer.json()["checks"]["redis"]
