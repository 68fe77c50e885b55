"""Figures for Prometheus.

Owns names and labels; a label is never an identifier or a path of the user's.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_REGISTRY: Final = CollectorRegistry()
_REQUESTS: Final = Counter(
    "jido_http_requests", "Requests answered.", ["method", "route", "status"], registry=_REGISTRY
)
_SECONDS: Final = Histogram(
    "jido_http_request_seconds", "Seconds until a request ended.", ["route"], registry=_REGISTRY
)
_SESSIONS: Final = Gauge(
    "jido_sessions", "Live sessions by status.", ["status"], registry=_REGISTRY
)
_STREAMS: Final = Gauge("jido_event_streams", "Open event streams.", registry=_REGISTRY)
_METHODS: Final = frozenset({"GET", "POST", "PATCH", "DELETE", "HEAD", "OPTIONS", "PUT"})


def observe(method: str, route: str, status: int, seconds: float) -> None:
    """Count one answered request; `route` is a template such as `/v1/sessions/{session_id}`."""
    known = method if method in _METHODS else "OTHER"
    _REQUESTS.labels(known, route, str(status)).inc()
    _SECONDS.labels(route).observe(seconds)


def stream_opened() -> None:
    """Count an event stream that began."""
    _STREAMS.inc()


def stream_closed() -> None:
    """Count an event stream that ended."""
    _STREAMS.dec()


def render(sessions: dict[str, int]) -> bytes:
    """Return all figures as text; `sessions` counts live sessions by status."""
    _SESSIONS.clear()
    for status, count in sessions.items():
        _SESSIONS.labels(status).set(count)
    return generate_latest(_REGISTRY)
