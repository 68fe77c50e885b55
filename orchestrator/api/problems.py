"""The one error handler: every failure of a request becomes a problem document.

Owns how the web framework's own refusals map to the error tree. An unexpected
failure is answered with an error id that its log line carries too, and with
nothing else.
"""

from __future__ import annotations

import json
import math
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from orchestrator.domain import errors
from orchestrator.domain.errors import JidoError
from orchestrator.domain.ids import new_id
from orchestrator.wire.problems import MEDIA_TYPE, problem, status_of

_log = structlog.get_logger(__name__)

_FIELD_ERRORS: Final[dict[str, type[errors.InvalidRequest]]] = {
    "name": errors.InvalidName,
    "temperature": errors.InvalidTemperature,
    "max_tokens": errors.InvalidMaxTokens,
    "provider": errors.UnknownProvider,
    "model": errors.UnknownModelFormat,
}
"""Fields whose faults of type have a code of their own."""

PROBLEM_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
    },
    "additionalProperties": True,
}


def install(app: FastAPI) -> None:
    """Make `app` answer every failure with a problem."""
    app.add_exception_handler(JidoError, _known)
    app.add_exception_handler(RequestValidationError, _unusable)
    app.add_exception_handler(HTTPException, _framework)


def response(error: JidoError) -> Response:
    """Return the answer to a request that failed with `error`."""
    headers = {}
    if isinstance(error, errors.TooManyRequests):
        headers["retry-after"] = str(_whole_seconds(error.extra.get("retry_after_s")))
    if isinstance(error, errors.Unauthorized):
        headers["www-authenticate"] = "Bearer"
    allowed = error.extra.get("allow")
    if isinstance(error, errors.MethodNotAllowed) and isinstance(allowed, str):
        headers["allow"] = allowed
    content = json.dumps(problem(error), ensure_ascii=True, allow_nan=False).encode()
    return Response(content, status_of(error), headers, media_type=MEDIA_TYPE)


def unexpected(error: BaseException, method: str, path: str) -> Response:
    """Log an unforeseen failure under a new error id and return the answer that names the id."""
    error_id = new_id()
    _log.error("request.failed", error_id=error_id, method=method, path=path, exc_info=error)
    return response(
        JidoError(
            "Something went wrong inside the server; its log holds the reason under error id "
            f"{error_id}. Try again, and report it if it happens again.",
            error_id=error_id,
        )
    )


async def _known(request: Request, error: Exception) -> Response:
    assert isinstance(error, JidoError)
    if status_of(error) >= 500:
        _log.warning("request.refused", code=error.code, detail=error.detail, path=request.url.path)
    return response(error)


async def _unusable(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return response(validation_error(list(error.errors())))


async def _framework(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path
    if error.status_code == 404:
        return response(errors.NotFound(f"There is nothing at {path[:200]}. See /openapi.json."))
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        return response(
            errors.MethodNotAllowed(
                f"{request.method} is not possible at {path[:200]}. Use {allowed or 'another'}.",
                allow=allowed,
            )
        )
    if error.status_code < 500:
        return response(errors.InvalidRequest("The request's body cannot be read as JSON."))
    return unexpected(error, request.method, path)


def validation_error(faults: list[dict[str, Any]]) -> JidoError:
    """Return the refusal of the first of a request's faults, naming its field."""
    fault = faults[0]
    location = [str(part) for part in fault["loc"]]
    names = (
        location[1:] if location[:1] in (["body"], ["query"], ["path"], ["header"]) else location
    )
    field = ".".join(names)[:200]
    kind = str(fault["type"])
    if kind == "json_invalid":
        return errors.InvalidRequest("The request's body is not valid JSON.")
    if kind == "extra_forbidden":
        return errors.InvalidRequest(f"Unknown field “{field}”. Remove it.", field=field)
    if not field and kind == "value_error":
        return errors.InvalidRequest(f"The request's body is not usable: {fault['msg']}.")
    if not field:
        return errors.InvalidRequest(
            "The request needs a JSON object as its body, sent as application/json."
        )
    code = _FIELD_ERRORS.get(names[-1], errors.InvalidRequest)
    return code(f"Field “{field}” is not usable: {fault['msg']}.", field=field)


def _whole_seconds(value: Any) -> int:
    return max(1, math.ceil(value)) if isinstance(value, int | float) else 1
