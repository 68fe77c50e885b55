"""`jido lua --tool` and `--tools`: what the command line says becomes a request.

Owns how `key=value` becomes a JSON value: by the type that the tool declares for the key.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import quote

from orchestrator.cli.failures import UsageError
from orchestrator.domain.limits import MAX_BODY_BYTES
from orchestrator.local.http import Api


@dataclass(frozen=True, slots=True)
class Asked:
    """A call, or the wish for the list when `tool` is None."""

    tool: str | None
    arguments: dict[str, Any] | None = None
    """Given as JSON; None when there are `pairs`."""
    pairs: tuple[tuple[str, str], ...] = ()
    """Given as `key=value`, in order."""


def asked(words: list[str], tool: str | None, arguments: str | None, tools: bool) -> Asked | None:
    """Return what is asked of tools, None for a script; raises UsageError for a mixture."""
    if tools:
        if words or tool is not None or arguments is not None:
            raise UsageError("--tools lists the project's tools and takes no script or tool.")
        return Asked(None)
    if tool is None:
        if arguments is not None:
            raise UsageError("--arguments belong to a tool: give --tool NAME as well.")
        if len(words) != 1:
            raise UsageError("Give one script, `-` for standard input, or --tool NAME.")
        return None
    if arguments is not None:
        if words:
            raise UsageError("Give the tool's arguments as --arguments or as key=value, not both.")
        return Asked(tool, _object(arguments))
    return Asked(tool, None, tuple(_pair(word) for word in words))


def _object(text: str) -> dict[str, Any]:
    if text == "-":
        text = sys.stdin.read(MAX_BODY_BYTES // 2)
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"--arguments is not JSON: {error}.") from error
    if not isinstance(value, dict):
        raise UsageError("--arguments takes one JSON object.")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _pair(word: str) -> tuple[str, str]:
    key, sign, value = word.partition("=")
    if not sign or not key:
        raise UsageError(f"“{word[:80]}” is no argument of a tool. Write key=value.")
    return key, value


def body(api: Api, session_id: str, wanted: Asked) -> dict[str, Any]:
    """Return the request that calls the tool."""
    if wanted.arguments is not None or not wanted.pairs:
        return {"tool": wanted.tool, "arguments": wanted.arguments or {}}
    properties = _properties(api, session_id, wanted.tool or "")
    arguments = {key: _value(key, text, properties) for key, text in wanted.pairs}
    return {"tool": wanted.tool, "arguments": arguments}


def _properties(api: Api, session_id: str, tool: str) -> dict[str, Any]:
    for row in _tools(api, session_id):
        if row["name"] == tool and isinstance(row.get("parameters"), dict):
            return dict(row["parameters"].get("properties") or {})
    # Whatever is wrong with the tool, the call itself says best.
    return {}


def _value(key: str, text: str, properties: dict[str, Any]) -> Any:
    kind = (properties.get(key) or {}).get("type", "string")
    if kind == "string":
        return text
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{key}={text[:80]}: “{key}” must be of type {kind}, as JSON.") from error


def _tools(api: Api, session_id: str) -> list[dict[str, Any]]:
    found: dict[str, Any] = api.call("GET", f"/v1/sessions/{quote(session_id)}/tools")
    return list(found["items"])


def show(api: Api, session_id: str, as_json: bool) -> int:
    """Print the list of tools and return 0."""
    from orchestrator.cli.failures import complain
    from orchestrator.cli.progress import clean

    tools = _tools(api, session_id)
    if as_json:
        print(json.dumps({"items": tools, "next": None}, ensure_ascii=False))
        return 0
    for row in tools:
        usable = row["reason"] is None
        state = "trusted" if usable else "not usable" if row["trusted"] else "not trusted"
        said = (row["description"] or "") if usable else row["reason"]
        print(f"{clean(row['name'], 64)}\t{state}\t{clean(said or '', 300)}")
    if not tools:
        complain("The project has no tools of its own in .jido_code/tools.")
    return 0
