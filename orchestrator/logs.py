"""Logging: one JSON object per line on standard error, for every process.

Owns the shape of a line, its level and what never appears in one: tokens,
provider keys and passwords are replaced wherever they stand. Records of
libraries that use the standard `logging` take the same way.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Final

import structlog

REDACTED: Final = "[redacted]"

_SECRET_NAME: Final = re.compile(
    r"(^|_)(authorization|token|secret|password|passwd|api_?key|cookie)s?$", re.I
)
_SECRET_VALUE: Final = re.compile(
    r"(?i:bearer)\s+[\w.~+/=-]{8,}"
    r"|\b(?:sk|rk|pk)-[\w-]{16,}"
    r"|\bAIza[\w-]{30,}"
    r"|(?<=://)[^/\s@]*:[^/\s@]+(?=@)"
)
_SHORTEST_SECRET: Final = 8
"""Characters; replacing shorter values would garble ordinary words."""

_DEEPEST: Final = 6
"""Levels of nesting looked into; what lies deeper is written as text and searched as such."""

Processor = Callable[[Any, str, MutableMapping[str, Any]], MutableMapping[str, Any]]


def configure_logging(
    level: str = "info",
    *,
    secrets: tuple[str, ...] = (),
    environment: Mapping[str, str] | None = None,
) -> None:
    """Send every record of this process as JSON to standard error.

    `level` is the least severe one written. `secrets` are values that must never appear;
    those of environment variables named like a secret are added. May be called again.
    """
    shared = _shared_processors(redactor((*secrets, *_secrets_of(environment))))
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(default=str),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(threshold)
    for chatty in ("urllib3", "docker", "httpx", "httpcore", "asyncio"):
        logging.getLogger(chatty).setLevel(max(threshold, logging.WARNING))


def redactor(secrets: tuple[str, ...] = ()) -> Processor:
    """Return a processor that replaces secrets: by name, by form, and the values given."""
    known = sorted({s for s in secrets if len(s) >= _SHORTEST_SECRET}, key=len, reverse=True)

    def clean_text(text: str) -> str:
        for secret in known:
            text = text.replace(secret, REDACTED)
        return _SECRET_VALUE.sub(REDACTED, text)

    def clean(value: Any, depth: int = 0) -> Any:
        if isinstance(value, str):
            return clean_text(value)
        if value is None or isinstance(value, bool | int | float):
            return value
        if depth < _DEEPEST and isinstance(value, Mapping):
            return {
                clean_text(str(name)): REDACTED
                if _SECRET_NAME.search(str(name))
                else clean(inner, depth + 1)
                for name, inner in value.items()
            }
        if depth < _DEEPEST and isinstance(value, list | tuple | set | frozenset):
            return [clean(inner, depth + 1) for inner in value]
        return clean_text(str(value))

    def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
        kept = {name: event[name] for name in ("_record", "_from_structlog") if name in event}
        rest = {name: value for name, value in event.items() if name not in kept}
        return {**clean(rest), **kept}

    return redact


def _shared_processors(redact: Processor) -> list[Any]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
        redact,
    ]


def _secrets_of(environment: Mapping[str, str] | None) -> tuple[str, ...]:
    values = os.environ if environment is None else environment
    ends = ("_KEY", "_TOKEN", "_SECRET", "_PASSWORD")
    return tuple(value for name, value in values.items() if name.upper().endswith(ends))
