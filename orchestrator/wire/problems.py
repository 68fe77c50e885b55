"""Errors as RFC 9457 problems.

Owns the status of each branch of the error tree; the one place where a failure
becomes an HTTP answer and, on the client's side, a failure again.
"""

from __future__ import annotations

from typing import Any, Final

from orchestrator.domain import errors
from orchestrator.domain.errors import JidoError

MEDIA_TYPE: Final = "application/problem+json"

STATUSES: Final[tuple[tuple[type[JidoError], int], ...]] = (
    (errors.Unauthorized, 401),
    (errors.Forbidden, 403),
    (errors.NotFound, 404),
    (errors.MethodNotAllowed, 405),
    (errors.Conflict, 409),
    (errors.Gone, 410),
    (errors.BodyTooLarge, 413),
    (errors.InvalidRequest, 422),
    (errors.TooManyRequests, 429),
    (errors.ModelError, 502),
    (errors.NoSpace, 507),
    (errors.Unavailable, 503),
    (JidoError, 500),
)
"""First match wins."""


def status_of(error: JidoError) -> int:
    """Return the HTTP status of `error`."""
    return next(status for kind, status in STATUSES if isinstance(error, kind))


def problem(error: JidoError) -> dict[str, Any]:
    """Return the body of the answer to a failed request."""
    return {
        **error.extra,
        "type": f"urn:jido:problem:{error.code}",
        "title": error.title,
        "status": status_of(error),
        "code": error.code,
        "detail": error.detail,
    }


class Problem(JidoError):
    """A problem as a client received it; `code` and `status` are the server's."""

    def __init__(self, status: int, code: str, title: str, detail: str, **extra: Any) -> None:
        """Hold what the server said; `code` shadows the class's own."""
        super().__init__(detail, **extra)
        self.status = status
        self.problem_code = code
        self.problem_title = title


def parse_problem(status: int, body: object) -> Problem:
    """Return the failure described by the body of an answer, whatever that body is."""
    if not isinstance(body, dict):
        return Problem(status, "internal", "Error", f"The server answered with status {status}.")
    known = {"type", "title", "status", "code", "detail"}
    return Problem(
        status,
        str(body.get("code", "internal")),
        str(body.get("title", "Error")),
        str(body.get("detail", f"The server answered with status {status}.")),
        **{str(k): v for k, v in body.items() if k not in known and str(k).isidentifier()},
    )
