"""What a project's own tool may be called, say of itself and take.

Owns the rules of a declaration, which comes out of a sandbox and is shown to a model: name,
description and parameters, each bounded and of printable text; and the check of a call's
arguments against the parameters. Refuses everything of JSON Schema but the part named here.

    parameters   {type = "object", properties = {…}, required = {…}}
    a property   string, integer, number, boolean: description, enum
                 array: description, items        object: description, properties, required
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.domain.errors import Conflict, InvalidArgument, InvalidRequest, NotFound

DIRECTORY: Final = ".jido_code/tools"
"""Where tools lie, relative to the project."""

SUFFIX: Final = ".lua"
"""How a tool's file ends; what is before it is the tool's name."""

MAX_TOOLS: Final = 32
"""Tools of one project."""

MAX_TOOL_BYTES: Final = 65_536
"""Bytes of one tool's file."""

MAX_DESCRIPTION_CHARACTERS: Final = 1000
"""Characters of a description, of the tool or of one of its parameters."""

MAX_SCHEMA_BYTES: Final = 16_384
"""Bytes of the parameters as JSON."""

MAX_SCHEMA_DEPTH: Final = 6
"""Schemas within one another, the parameters themselves included."""

MAX_ENUM: Final = 100
"""Values of one `enum`."""

BUILT_IN_TOOLS: Final = frozenset(
    {
        *("read_file", "write_file", "edit_file", "multi_edit", "list_files", "find_files"),
        *("search_files", "create_directory", "file_info", "glob", "grep", "find"),
        *("run_command", "start_command", "check_command", "send_input", "stop_command"),
        *("shell", "bash", "lua"),
        *("write_plan", "update_plan", "read_plan", "todo", "task", "delegate", "final_result"),
    }
)
"""Names that the agent's own tools have or may get, and that clients have words for.

No project's tool may take one: it would pose as what it is not.
"""

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_PROPERTY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_SCALARS: Final[dict[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int, float),
    "number": (int, float),
    "boolean": (bool,),
}
_KEYS: Final = {
    "object": {"type", "description", "properties", "required", "additionalProperties"},
    "array": {"type", "description", "items"},
    **{name: {"type", "description", "enum"} for name in _SCALARS},
}

Schema = dict[str, Any]


class InvalidProjectTool(InvalidRequest):
    """A file in a project's `.jido_code/tools` declares no tool that can be used."""

    code = "invalid_project_tool"


class ProjectToolNotFound(NotFound):
    """The project has no tool of this name."""

    code = "project_tool_not_found"


class ProjectToolNotTrusted(Conflict):
    """The user has not accepted this content of a project's tool."""

    code = "project_tool_not_trusted"


@dataclass(frozen=True, slots=True)
class ProjectTool:
    """A tool as a model and a person are told of it."""

    name: str
    description: str
    parameters: Schema
    """A JSON Schema of type object, complete and closed: unknown arguments are refused."""
    digest: str = ""
    """SHA-256 of the accepted content in hexadecimal; empty where nothing is granted by it."""

    @property
    def grant(self) -> str:
        """What allowing it for a session allows: this content under this name, and no other."""
        return f"{self.name}@{self.digest}"


def file_of(name: str) -> str:
    """Return the path of the tool `name`, relative to the project."""
    return f"{DIRECTORY}/{name}{SUFFIX}"


def name_fault(name: str) -> str | None:
    """Return what is wrong with a tool's name, None when it may be one."""
    if not _NAME.fullmatch(name):
        return "its name must match [a-z][a-z0-9_]*, at most 64 characters, with .lua behind"
    if name in BUILT_IN_TOOLS:
        return "a tool of the agent has this name already"
    return None


def parse_declaration(name: str, declared: object) -> ProjectTool:
    """Return the tool that the file of `name` declares; raises InvalidProjectTool.

    `declared` is hostile: it may be anything that JSON can say.
    """
    fault = name_fault(name)
    if fault is not None:
        raise _invalid(name, fault)
    if not isinstance(declared, dict) or declared.get("name") != name:
        raise _invalid(name, "it must return a table that declares this name")
    description = declared.get("description")
    if not isinstance(description, str) or not description.strip():
        raise _invalid(name, "its description must be text")
    _check_text(name, "its description", description)
    parameters = declared.get("parameters")
    if parameters in (None, []):
        parameters = {}
    if not isinstance(parameters, dict) or parameters.setdefault("type", "object") != "object":
        raise _invalid(name, "its parameters must be of type object")
    if not _is_small(parameters):
        raise _invalid(name, f"its parameters exceed {MAX_SCHEMA_BYTES // 1024} KiB")
    return ProjectTool(name, description.strip(), _schema(name, "parameters", parameters, 1))


def check_arguments(tool: ProjectTool, arguments: Mapping[str, Any]) -> None:
    """Raise InvalidArgument, naming the fault, unless `arguments` are what `tool` takes."""
    fault = _object_fault(tool.parameters, arguments, "")
    if fault is not None:
        raise InvalidArgument(f"{tool.name}: {fault}.", tool=tool.name)


def _invalid(name: str, fault: str) -> InvalidProjectTool:
    shown = "".join(c if c.isprintable() else "?" for c in name[:80])
    return InvalidProjectTool(f"{file_of(shown)} is no usable tool: {fault}.", tool=shown)


def _check_text(name: str, what: str, text: str) -> None:
    if len(text) > MAX_DESCRIPTION_CHARACTERS:
        raise _invalid(name, f"{what} exceeds {MAX_DESCRIPTION_CHARACTERS:,} characters")
    if not all(c.isprintable() or c == "\n" for c in text):
        raise _invalid(name, f"{what} holds characters that cannot be printed")


def _is_small(parameters: Schema) -> bool:
    try:
        return len(json.dumps(parameters)) <= MAX_SCHEMA_BYTES
    except RecursionError:
        return False


def _schema(name: str, place: str, declared: object, depth: int) -> Schema:
    """Return `declared` rebuilt from what is known, so that nothing else passes."""
    if depth > MAX_SCHEMA_DEPTH:
        raise _invalid(name, f"its parameters nest deeper than {MAX_SCHEMA_DEPTH} schemas")
    if not isinstance(declared, dict) or not isinstance(kind := declared.get("type"), str):
        raise _invalid(name, f"`{place}` must be a schema with a type")
    if kind not in _KEYS:
        raise _invalid(name, f"`{place}` must have a type of {', '.join(sorted(_KEYS))}")
    unknown = sorted(key for key in declared if key not in _KEYS[kind])
    if unknown:
        raise _invalid(name, f"`{place}` has what is not known here: {_printable(unknown[0])}")
    schema: Schema = {"type": kind}
    description = declared.get("description")
    if description is not None:
        if not isinstance(description, str):
            raise _invalid(name, f"the description of `{place}` must be text")
        _check_text(name, f"the description of `{place}`", description)
        schema["description"] = description
    if kind == "object":
        schema |= _object(name, place, declared, depth)
    elif kind == "array" and declared.get("items") is not None:
        schema["items"] = _schema(name, f"{place}[]", declared["items"], depth + 1)
    elif declared.get("enum") is not None:
        schema["enum"] = _enum(name, place, kind, declared["enum"])
    return schema


def _object(name: str, place: str, declared: Schema, depth: int) -> Schema:
    # An empty table of Lua says nothing of whether it is a list.
    properties = declared.get("properties") or {}
    required = declared.get("required") or []
    if declared.get("additionalProperties", False) is not False:
        raise _invalid(name, f"`{place}` may have no properties but those it declares")
    if not isinstance(properties, dict):
        raise _invalid(name, f"the properties of `{place}` must be a table of schemas")
    for key in properties:
        if not _PROPERTY.fullmatch(key):
            raise _invalid(name, f"`{place}` has a property whose name is no identifier")
    if not isinstance(required, list) or not all(
        isinstance(key, str) and key in properties for key in required
    ):
        raise _invalid(name, f"`required` of `{place}` must list properties that it has")
    return {
        "properties": {
            key: _schema(name, f"{place}.{key}", value, depth + 1)
            for key, value in properties.items()
        },
        "required": sorted(set(required)),
        "additionalProperties": False,
    }


def _enum(name: str, place: str, kind: str, declared: object) -> list[Any]:
    if not isinstance(declared, list) or not 0 < len(declared) <= MAX_ENUM:
        raise _invalid(name, f"the enum of `{place}` must list 1 to {MAX_ENUM} values")
    for value in declared:
        if not _is_scalar(kind, value):
            raise _invalid(name, f"the enum of `{place}` must hold values of its type")
        if isinstance(value, str):
            _check_text(name, f"a value of `{place}`", value)
    return declared


def _is_scalar(kind: str, value: object) -> bool:
    if isinstance(value, bool) is not (kind == "boolean"):
        return False
    if isinstance(value, float) and not math.isfinite(value):
        return False
    if kind == "integer" and isinstance(value, float) and not value.is_integer():
        return False
    return isinstance(value, _SCALARS[kind])


def _fault(schema: Schema, value: object, place: str) -> str | None:
    kind = schema["type"]
    if kind == "object":
        if not isinstance(value, Mapping):
            return f"“{place}” must be an object"
        return _object_fault(schema, value, f"{place}.")
    if kind == "array":
        if not isinstance(value, list):
            return f"“{place}” must be an array"
        items = schema.get("items")
        faults = (_fault(items, item, f"{place}[{n}]") for n, item in enumerate(value) if items)
        return next((fault for fault in faults if fault is not None), None)
    if not _is_scalar(kind, value):
        return f"“{place}” must be of type {kind}"
    allowed = schema.get("enum")
    if allowed is not None and value not in allowed:
        return f"“{place}” must be one of {', '.join(json.dumps(each) for each in allowed[:10])}"
    return None


def _object_fault(schema: Schema, value: Mapping[str, Any], prefix: str) -> str | None:
    properties = schema["properties"]
    for key in schema["required"]:
        if key not in value:
            return f"“{prefix}{key}” is missing"
    for key, item in value.items():
        if key not in properties:
            return f"“{prefix}{_printable(key)}” is not known"
        fault = _fault(properties[key], item, f"{prefix}{key}")
        if fault is not None:
            return fault
    return None


def _printable(text: object) -> str:
    return "".join(c if c.isprintable() else "?" for c in str(text)[:60])
